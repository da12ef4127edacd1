/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM messages: how a guest boots, which mostly only later resource managers can be told (abi C.5,
 * D.4). Firmware has its memory in the image parcel; a parcel of its own is not modelled.
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

/* An authenticated guest starts as its image or its firmware says (abi C.5). */
static bool may_set(const struct vm *vm, uint8_t set, uint8_t index)
{
	return !vm->auth || (set != REGISTER_PC && (set != REGISTER_X || index));
}

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
	if (!may_set(vm, set, index))
		return RM_DENIED;
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
	if (!is_range(base, size) || range > RANGE_FIRMWARE)
		return RM_ARGUMENT_INVALID;
	*(range == RANGE_IMAGE ? &vm->ram_base : &vm->firmware_base) = base;
	*(range == RANGE_IMAGE ? &vm->ram_size : &vm->firmware_max) = size;
	return RM_OK;
}

const struct rm_message rm_address_layout = { 0x56000034, set_address_layout, 24, false };

static enum rm_status check_firmware(struct model *m, const struct vm *vm, uint32_t handle,
				     uint64_t off, uint64_t size)
{
	const struct parcel *p = parcel_find(m, vm->image);

	if (vm->auth != AUTH_ANDROID)
		return RM_ARGUMENT_INVALID;
	if (!m->config.firmware)
		return RM_DENIED;
	if (!p || handle != vm->image)
		return RM_MEM_INVALID;
	return off <= p->size && size <= p->size - off ? RM_OK : RM_ARGUMENT_INVALID;
}

/* u16 vmid, u16 0, u32 handle, u64 offset, u64 size */
static enum rm_status set_firmware_mem(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, ghvm_get_u16(&c->in));
	uint16_t reserved = ghvm_get_u16(&c->in);
	uint32_t handle = ghvm_get_u32(&c->in);
	uint64_t off = ghvm_get_u64(&c->in), size = ghvm_get_u64(&c->in);
	enum rm_status status;

	if (reserved)
		return RM_MSG_INVALID;
	if (!vm)
		return RM_NORESOURCE;
	if (vm->owner != c->caller)
		return RM_DENIED;
	if (vm->state != VM_STATE_INIT)
		return RM_VM_STATE;
	status = check_firmware(c->m, vm, handle, off, size);
	if (status != RM_OK)
		return status;
	vm->firmware_off = off;
	vm->firmware_size = size;
	return RM_OK;
}

const struct rm_message rm_firmware_mem = { 0x56000032, set_firmware_mem, 24, false };
