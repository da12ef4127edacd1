/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM messages: image and configuration of a VM, up to READY (abi C.5, D.3 to D.5).
 *
 * A failed CONFIG_IMAGE leaves a VM without configuration, and its VMID can never be freed (abi
 * K.6).
 */
#include "tests/model/core/core.h"

static bool inside(uint64_t off, uint64_t size, uint64_t total)
{
	return off <= total && size <= total - off;
}

static enum rm_status check_image(struct model *m, const struct vm *vm)
{
	struct parcel *p = parcel_find(m, vm->image);

	if (vm->auth > AUTH_ANDROID)
		return RM_ARGUMENT_INVALID;
	if (!p || !parcel_acl(p, vm->vmid))
		return RM_MEM_INVALID;
	if (!inside(vm->image_off, vm->image_size, p->size) ||
	    !inside(vm->dt_off, vm->dt_size, p->size))
		return RM_ARGUMENT_INVALID;
	return RM_OK;
}

/*
 * u16 vmid, u16 auth, u32 handle, u64 image offset, u64 image size, u64 tree offset,
 * u64 tree size
 */
enum rm_status rm_config_image(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, ghvm_get_u16(&c->in));
	enum rm_status status;

	if (!vm)
		return RM_VMID_INVALID;
	if (c->caller != MODEL_PRIMARY_VMID || vm->owner != c->caller)
		return RM_DENIED;
	if (vm->state != VM_STATE_LOAD && vm->state != VM_STATE_RESET)
		return RM_VM_STATE;
	vm->auth = ghvm_get_u16(&c->in);
	vm->image = ghvm_get_u32(&c->in);
	vm->image_off = ghvm_get_u64(&c->in);
	vm->image_size = ghvm_get_u64(&c->in);
	vm->dt_off = ghvm_get_u64(&c->in);
	vm->dt_size = ghvm_get_u64(&c->in);

	status = check_image(c->m, vm);
	if (status == RM_OK && !vm_charge(c->m, vm, c->m->heap.config))
		status = RM_NOMEM;
	if (status != RM_OK)
		return vm_fail(c->m, vm, status);
	vm->has_config = true;
	vm_set_state(c->m, vm, vm->auth == AUTH_PLATFORM ? VM_STATE_AUTH : VM_STATE_INIT);
	return RM_OK;
}

/* Qualcomm's parameter (abi D.4): u32 0, u32 PAS id */
static bool is_authentic(const struct model *m, struct ghvm_get *params, uint16_t n)
{
	uint32_t type = ghvm_get_u32(params), value = ghvm_get_u32(params);

	return n == 1 && !type && value && value == m->config.pas_id;
}

/* u16 vmid, u16 n, n * { u32 type, u32 value } */
enum rm_status rm_auth_image(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, ghvm_get_u16(&c->in));
	uint16_t n = ghvm_get_u16(&c->in);

	if (c->in.len != (size_t)n * 8)
		return RM_MSG_INVALID;
	if (!vm)
		return RM_VMID_INVALID;
	if (vm->owner != c->caller)
		return RM_DENIED;
	if (vm->state != VM_STATE_AUTH)
		return RM_VM_STATE;
	if (!is_authentic(c->m, &c->in, n))
		return vm_fail(c->m, vm, RM_ARGUMENT_INVALID);
	vm_set_state(c->m, vm, VM_STATE_INIT);
	return RM_OK;
}

/* u16 vmid, u16 0 */
enum rm_status rm_init(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, ghvm_get_u16(&c->in));
	enum rm_status status;

	if (ghvm_get_u16(&c->in))
		return RM_MSG_INVALID;
	if (!vm)
		return RM_VMID_INVALID;
	if (vm->owner != c->caller)
		return RM_DENIED;
	if (vm->state != VM_STATE_INIT)
		return RM_VM_STATE;
	status = guest_init(c->m, vm);
	if (status != RM_OK)
		return vm_fail(c->m, vm, status);
	vm_set_state(c->m, vm, VM_STATE_READY);
	return RM_OK;
}

/* u16 vmid, u16 0, u64 time base, u64 system counter at that time */
enum rm_status rm_set_time_base(struct rm_call *c)
{
	const struct vm *vm = vm_find(c->m, ghvm_get_u16(&c->in));

	if (!vm)
		return RM_VMID_INVALID;
	if (vm->owner != c->caller)
		return RM_DENIED;
	return vm->state == VM_STATE_INIT || vm->state == VM_STATE_READY ? RM_OK : RM_VM_STATE;
}
