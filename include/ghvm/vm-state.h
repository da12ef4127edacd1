/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * States of a VM, and how it ended, as the resource manager numbers them.
 */
#pragma once

#include "ghvm/api.h"

GHVM_BEGIN_DECLS

/* abi D.1 */
enum ghvm_vm_status {
	GHVM_VM_NONE = 0,
	GHVM_VM_INIT = 1,
	GHVM_VM_READY = 2,
	GHVM_VM_RUNNING = 3,
	GHVM_VM_PAUSED = 4,
	GHVM_VM_LOAD = 5,
	GHVM_VM_AUTH = 6,
	GHVM_VM_INIT_FAILED = 8,
	GHVM_VM_EXITED = 9,
	GHVM_VM_RESETTING = 10,
	GHVM_VM_RESET = 11,
};

/* abi D.2 */
enum ghvm_exit_type {
	GHVM_EXIT_VM_EXIT = 0,
	GHVM_EXIT_SYSTEM_OFF = 1,
	GHVM_EXIT_SYSTEM_RESET = 2,
	GHVM_EXIT_SYSTEM_RESET2 = 3,
	GHVM_EXIT_WATCHDOG = 4,
	GHVM_EXIT_SOFTWARE_ERROR = 5,
	GHVM_EXIT_ASYNC_ABORT = 6,
	GHVM_EXIT_FORCED = 7,
	/* not of the protocol: the VM has ended, and its VM_EXITED was not seen (decision 26) */
	GHVM_EXIT_UNKNOWN = 0xffff,
};

/* Of the message that a guest may leave with RM: 192 bytes, and the final NUL (abi C.5). */
#define GHVM_CRASH_MESSAGE_SIZE 193

/* "init-failed", "software-error"; never NULL, "unknown" for what is in no list. */
const char *ghvm_vm_status_to_string(enum ghvm_vm_status s);
const char *ghvm_exit_type_to_string(enum ghvm_exit_type t);

GHVM_END_DECLS
