/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest of little code and one vCPU, in 2 MiB. Unless told it jumps to itself for ever.
 */
#pragma once

#include "tests/kmod/machine/rm/rpc.h"

#include <stdbool.h>

#define VM_SIZE (2UL << 20)

struct vm {
	uint32_t vmid;
	uint32_t handle;
	uint64_t capid;
	uint32_t virq;
	int pin;
};

/* What a guest runs, at most 1 MiB. */
struct code {
	const void *bytes;
	size_t size;
};

/* Each ends the tests if it fails. */
void vm_lend(struct vm *vm, struct rpc *rpc, const char *tag);
void vm_lend_code(struct vm *vm, struct rpc *rpc, const char *tag, const struct code *code);
void vm_start(struct vm *vm, struct rpc *rpc);
void vm_stop(struct vm *vm, struct rpc *rpc);	 /* EXITED, then RESET */
long vm_reclaim(struct vm *vm, struct rpc *rpc); /* 0 or the negative status */
void vm_free(struct vm *vm, struct rpc *rpc);
uint8_t vm_state(struct vm *vm, struct rpc *rpc);
