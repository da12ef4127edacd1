/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM messages: how a guest boots, which only later resource managers can be told (abi C.5).
 */
#include "tests/model/core/core.h"

enum register_set {
	REGISTER_X = 0,
	REGISTER_PC = 1,
	REGISTER_SP = 2,
};

/* NULL: there is no such register. */
static uint64_t *find_register(struct guest *g, uint8_t set, uint8_t index)
{
	if (set == REGISTER_X && index < ARRAY_SIZE(g->boot.x))
		return &g->boot.x[index];
	if (set == REGISTER_PC && !index)
		return &g->boot.pc;
	if (set == REGISTER_SP && index < ARRAY_SIZE(g->boot.sp))
		return &g->boot.sp[index];
	return NULL;
}

/* u16 vmid, u8 register set, u8 index, u32 0, u64 value */
static enum rm_status set_boot_context(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, ghvm_get_u16(&c->in));
	uint8_t set = ghvm_get_u8(&c->in), index = ghvm_get_u8(&c->in);
	uint64_t *at;

	if (ghvm_get_u32(&c->in))
		return RM_MSG_INVALID;
	if (!vm)
		return RM_VMID_INVALID;
	if (vm->owner != c->caller)
		return RM_DENIED;
	if (vm->state != VM_STATE_READY)
		return RM_VM_STATE;
	at = find_register(guest_of(c->m, vm), set, index);
	if (!at)
		return RM_ARGUMENT_INVALID;
	*at = ghvm_get_u64(&c->in);
	return RM_OK;
}

const struct rm_message rm_boot_context = { 0x56000031, set_boot_context, 16, false };
