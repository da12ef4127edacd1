/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM messages: the life cycle of a VM (abi C.5, D.1, K.6).
 *
 * Three requests kill the real RM, and so this one: DEALLOCATE of an unknown VMID, RESET of
 * a VM without a configuration, STOP without force of a guest that has no link to RM.
 */
#include "tests/model/core/core.h"

#define STOP_FORCE 1
#define NOTIFY_VM_SHUTDOWN 0x56100002
#define EXIT_BY_CALL 0
#define EXIT_CODE_RESERVED 2
#define EXIT_CODE_LAST 4

/* u16 vmid, u16 0 */
static struct vm *get_vm(struct rm_call *c)
{
	uint16_t vmid = ghvm_get_u16(&c->in);

	ghvm_get_skip(&c->in, 2);
	return vm_find(c->m, vmid);
}

static uint16_t free_dynamic_vmid(struct model *m)
{
	const uint16_t first = m->config.first_vmid ? m->config.first_vmid : MODEL_DYNAMIC_FIRST;
	const uint16_t last = first > MODEL_DYNAMIC_LAST ? MODEL_VMID_LAST : MODEL_DYNAMIC_LAST;

	for (uint16_t v = first; v <= last; v++) {
		if (!vm_find(m, v))
			return v;
	}
	return 0;
}

/* V; 0: any. Reply: u32 vmid, only if any was asked for. */
static enum rm_status allocate(struct rm_call *c)
{
	uint16_t asked = ghvm_get_u16(&c->in), vmid = asked;

	if (c->caller != MODEL_PRIMARY_VMID)
		return RM_DENIED;
	if (!asked)
		vmid = free_dynamic_vmid(c->m);
	else if (asked < MODEL_STATIC_FIRST || asked > MODEL_STATIC_LAST || vm_find(c->m, asked))
		vmid = 0;
	if (!vmid)
		return RM_NORESOURCE;
	if (!vm_allocate(c->m, vmid))
		return RM_NOMEM;
	if (!asked)
		ghvm_put_u32(&c->out, vmid);
	return RM_OK;
}

/* V */
static enum rm_status deallocate(struct rm_call *c)
{
	struct vm *vm = get_vm(c);

	if (!vm) {
		rm_die(c->m, "rm: DEALLOCATE of an unknown VMID");
		return RM_VMID_INVALID;
	}
	if (vm->owner != c->caller)
		return RM_DENIED;
	if (vm->state != VM_STATE_LOAD && vm->state != VM_STATE_RESET)
		return RM_VM_STATE;
	vm_deallocate(c->m, vm);
	return RM_OK;
}

/* V */
static enum rm_status start_vm(struct rm_call *c)
{
	struct vm *vm = get_vm(c);
	enum rm_status status;

	if (!vm)
		return RM_VMID_INVALID;
	if (vm->owner != c->caller)
		return RM_DENIED;
	if (vm->state != VM_STATE_READY)
		return RM_VM_STATE;
	status = guest_start(c->m, vm);
	return status == RM_OK ? RM_OK : vm_fail(c->m, vm, status);
}

static enum rm_status ask_to_shut_down(struct model *m, const struct vm *vm, uint32_t reason)
{
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	if (!rpc_client_find(m, vm->vmid)) {
		rm_die(m, "rm: STOP without force of a guest without a link to RM");
		return RM_VM_STATE;
	}
	ghvm_put_u32(&w, reason);
	rpc_notify(m, vm->vmid, NOTIFY_VM_SHUTDOWN, buf, w.len);
	return RM_OK;
}

/* u16 vmid, u8 flags, u8 0, u32 reason, which a guest gets unless the stop is forced */
static enum rm_status stop_vm(struct rm_call *c)
{
	static const uint32_t none;
	struct vm *vm = vm_find(c->m, ghvm_get_u16(&c->in));
	uint8_t flags = ghvm_get_u8(&c->in);
	uint32_t reason;

	ghvm_get_skip(&c->in, 1);
	reason = ghvm_get_u32(&c->in);
	if (!vm || vm->owner != c->caller)
		return RM_VMID_INVALID;
	if (vm->state != VM_STATE_RUNNING || guest_of(c->m, vm)->no_shutdown)
		return RM_VM_STATE;
	if (!(flags & STOP_FORCE))
		return ask_to_shut_down(c->m, vm, reason);

	if (!c->m->config.late_stop) {
		vm_exit_by_call(c->m, vm, VM_EXIT_STOP_FORCED, 0);
		return RM_OK;
	}
	c->m->host.vm_kill(c->m->host.ctx, (unsigned int)vm->slot);
	vm_exit(c->m, vm, VM_EXIT_STOP_FORCED, &none, 1);
	return RM_OK;
}

/* V */
static enum rm_status reset(struct rm_call *c)
{
	struct vm *vm = get_vm(c);
	struct guest *g;

	if (!vm || vm->owner != c->caller)
		return RM_VMID_INVALID;
	if (vm->state == VM_STATE_LOAD || (vm->state == VM_STATE_INIT_FAILED && !vm->has_config)) {
		rm_die(c->m, "rm: RESET of a VM without a configuration");
		return RM_VM_STATE;
	}
	if (vm->state != VM_STATE_EXITED && vm->state != VM_STATE_READY &&
	    vm->state != VM_STATE_INIT_FAILED)
		return RM_VM_STATE;
	g = guest_of(c->m, vm);
	if (g && g->no_reset)
		return RM_DENIED;
	vm_reset_begin(c->m, vm);
	return RM_OK;
}

/* By a guest about itself: u8 vm, u8 os, u16 application */
static enum rm_status set_status(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, c->caller);

	ghvm_get_skip(&c->in, 1);
	if (c->caller >= MODEL_DYNAMIC_FIRST)
		return RM_DENIED;
	vm->os_status = ghvm_get_u8(&c->in);
	vm->app_status = ghvm_get_u16(&c->in);
	vm_set_state(c->m, vm, vm->state);
	return RM_OK;
}

/* From a guest about itself: u16 flags, u8 code, u8 0. It gets no answer. */
static enum rm_status exit_by_call(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, c->caller);
	uint16_t flags = ghvm_get_u16(&c->in);
	uint8_t code = ghvm_get_u8(&c->in);
	uint32_t reason = flags | (uint32_t)code << 16;

	if (ghvm_get_u8(&c->in) || code == EXIT_CODE_RESERVED || code > EXIT_CODE_LAST)
		return RM_MSG_INVALID;
	if (vm->slot < 0)
		return RM_DENIED;
	c->silent = true;
	vm_exit_by_call(c->m, vm, EXIT_BY_CALL, reason);
	return RM_OK;
}

/* By a guest about itself: u16 length, u16 0, bytes, padded to 4 */
static enum rm_status set_crash_msg(struct rm_call *c)
{
	struct vm *vm = vm_find(c->m, c->caller);
	uint16_t len = ghvm_get_u16(&c->in);

	ghvm_get_skip(&c->in, 2);
	if (c->in.len != ((size_t)len + 3) / 4 * 4)
		return RM_MSG_INVALID;
	vm->crash_len = len < sizeof(vm->crash) ? len : sizeof(vm->crash);
	ghvm_get_bytes(&c->in, vm->crash, vm->crash_len);
	return RM_OK;
}

const struct rm_message rm_vm_messages[] = {
	{ 0x56000001, allocate, 4, false },
	{ 0x56000002, deallocate, 4, false },
	{ 0x56000004, start_vm, 4, false },
	{ 0x56000005, stop_vm, 8, false },
	{ 0x56000006, reset, 4, false },
	{ 0x56000009, rm_config_image, 40, false },
	{ 0x5600000a, rm_auth_image, 4, true },
	{ 0x5600000b, rm_init, 4, false },
	{ 0x56000030, rm_set_time_base, 20, false },
	{ 0x56000080, set_status, 4, false },
	{ 0x56000085, exit_by_call, 4, false },
	{ 0x56000086, set_crash_msg, 4, true },
};
const size_t rm_vm_n_messages = ARRAY_SIZE(rm_vm_messages);
