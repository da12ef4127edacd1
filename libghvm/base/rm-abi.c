/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of VM states and exit types (abi D.1, D.2), VMIDs of guests, and refusals that are known to
 * have changed nothing.
 */
#include "libghvm/base/rm-abi.h"

#include "libghvm/base/bits.h"

#include <stddef.h>

#define VMID_FIRST 4
#define VMID_LAST 254

bool ghvm_vmid_is_guest(struct ghvm_vmid vmid)
{
	return vmid.id >= VMID_FIRST && vmid.id <= VMID_LAST;
}

const char *ghvm_vm_status_to_string(enum ghvm_vm_status s)
{
	static const char *const names[] = {
		[GHVM_VM_NONE] = "none",     [GHVM_VM_INIT] = "init",
		[GHVM_VM_READY] = "ready",   [GHVM_VM_RUNNING] = "running",
		[GHVM_VM_PAUSED] = "paused", [GHVM_VM_LOAD] = "load",
		[GHVM_VM_AUTH] = "auth",     [GHVM_VM_INIT_FAILED] = "init-failed",
		[GHVM_VM_EXITED] = "exited", [GHVM_VM_RESETTING] = "resetting",
		[GHVM_VM_RESET] = "reset",
	};

	return (size_t)s < ARRAY_SIZE(names) && names[s] ? names[s] : "unknown";
}

const char *ghvm_exit_type_to_string(enum ghvm_exit_type t)
{
	static const char *const names[] = {
		[GHVM_EXIT_VM_EXIT] = "exit",
		[GHVM_EXIT_SYSTEM_OFF] = "off",
		[GHVM_EXIT_SYSTEM_RESET] = "reset",
		[GHVM_EXIT_SYSTEM_RESET2] = "reset2",
		[GHVM_EXIT_WATCHDOG] = "watchdog",
		[GHVM_EXIT_SOFTWARE_ERROR] = "software-error",
		[GHVM_EXIT_ASYNC_ABORT] = "async-abort",
		[GHVM_EXIT_FORCED] = "forced",
	};

	return (size_t)t < ARRAY_SIZE(names) ? names[t] : "unknown";
}

/* abi C.6 and K.9 */
static const uint32_t create_refusals[] = {
	GHVM_RM_NOMEM,	     GHVM_RM_NORESOURCE,       GHVM_RM_DENIED,
	GHVM_RM_MSG_INVALID, GHVM_RM_ARGUMENT_INVALID, GHVM_RM_MAP_FAILED,
	GHVM_RM_MEM_INVALID, GHVM_RM_VMID_INVALID,
};

/* abi C.5 */
static const uint32_t allocate_refusals[] = {
	GHVM_RM_NOMEM,
	GHVM_RM_NORESOURCE,
	GHVM_RM_DENIED,
	GHVM_RM_MSG_INVALID,
};

static bool is_among(const uint32_t *v, size_t n, uint32_t status)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == status)
			return true;
	return false;
}

bool ghvm_rm_made_nothing(uint32_t message, uint32_t status)
{
	switch (message) {
	case GHVM_RM_MEM_LEND:
	case GHVM_RM_MEM_SHARE:
		return is_among(create_refusals, ARRAY_SIZE(create_refusals), status);
	case GHVM_RM_VM_ALLOCATE:
		return is_among(allocate_refusals, ARRAY_SIZE(allocate_refusals), status);
	}
	return false;
}
