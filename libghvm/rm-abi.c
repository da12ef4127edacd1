/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of what the resource manager says of a VM (abi D.1, D.2).
 */
#include "libghvm/rm-abi.h"

#include "libghvm/bits.h"

#include <stddef.h>

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
