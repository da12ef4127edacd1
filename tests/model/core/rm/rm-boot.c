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

enum range {
	RANGE_IMAGE = 0,
	RANGE_FIRMWARE = 1,
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

/* A range of whole pages that does not wrap. */
static bool is_range(uint64_t base, uint64_t size)
{
	return size && ghvm_aligned(base, MODEL_PAGE) && ghvm_aligned(size, MODEL_PAGE) &&
	       base + size > base;
}

/* u16 vmid, u16 0, u32 range, u64 base, u64 size */
static enum rm_status set_address_layout(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, ghvm_get_u16(&c->in));
	uint16_t reserved = ghvm_get_u16(&c->in);
	uint32_t range = ghvm_get_u32(&c->in);
	uint64_t base = ghvm_get_u64(&c->in), size = ghvm_get_u64(&c->in);

	if (reserved)
		return RM_MSG_INVALID;
	if (!vm || !vm->has_config)
		return RM_NORESOURCE;
	if (vm->owner != c->caller || vm->state != VM_STATE_INIT)
		return RM_DENIED;
	if (!is_range(base, size) || range != RANGE_IMAGE)
		return RM_ARGUMENT_INVALID;
	vm->ram_base = base;
	vm->ram_size = size;
	return RM_OK;
}

const struct rm_message rm_address_layout = { 0x56000034, set_address_layout, 24, false };
