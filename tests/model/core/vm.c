/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VM records: states, ends, resets (abi D.1, D.2).
 *
 * The end of a guest by itself, and a reset, take time, as with the real RM: the record has their deadlines, which
 * model_work() checks. Until then a VM that has ended is still RUNNING. An end that a call to RM causes is complete
 * before the reply.
 */
#include "tests/model/core/core.h"

#include <string.h>

#define NOTIFY_VM_EXITED 0x56100001
#define NOTIFY_VM_STATUS 0x56100008

struct vm *vm_find(struct model *m, uint16_t vmid)
{
	for (unsigned int i = 0; i < MODEL_VM_RECORDS; i++) {
		if (m->vms[i].used && m->vms[i].vmid == vmid)
			return &m->vms[i];
	}
	return NULL;
}

struct vm *vm_allocate(struct model *m, uint16_t vmid)
{
	for (unsigned int i = 0; i < MODEL_VM_RECORDS; i++) {
		struct vm *vm = &m->vms[i];

		if (vm->used)
			continue;
		if (!heap_take(&m->heap, HEAP_VM))
			return NULL;
		memset(vm, 0, sizeof(*vm));
		vm->used = true;
		vm->vmid = vmid;
		vm->owner = MODEL_PRIMARY_VMID;
		vm->peer = true;
		vm->state = VM_STATE_LOAD;
		vm->slot = -1;
		return vm;
	}
	return NULL;
}

bool vm_charge(struct model *m, struct vm *vm, uint64_t bytes)
{
	if (!heap_take(&m->heap, bytes))
		return false;
	vm->heap += bytes;
	return true;
}

static void uncharge(struct model *m, struct vm *vm)
{
	heap_give(&m->heap, vm->heap);
	vm->heap = 0;
}

void vm_deallocate(struct model *m, struct vm *vm)
{
	uncharge(m, vm);
	heap_give(&m->heap, HEAP_VM);
	vm->used = false;
}

/* u16 vmid, u16 0, u8 vm, u8 os, u16 application */
static void notify_status(struct model *m, const struct vm *vm)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	if (!vm->peer)
		return;
	ghvm_put_u16(&w, vm->vmid);
	ghvm_put_zero(&w, 2);
	ghvm_put_u8(&w, (uint8_t)vm->state);
	ghvm_put_u8(&w, vm->os_status);
	ghvm_put_u16(&w, vm->app_status);
	rpc_notify(m, vm->owner, NOTIFY_VM_STATUS, buf, w.len);
}

/* u16 vmid, u16 type, u32 size of the reason, reason */
static void notify_exited(struct model *m, const struct vm *vm)
{
	uint8_t buf[RPC_NOTIFICATION_BYTES];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vm->vmid);
	ghvm_put_u16(&w, (uint16_t)vm->exit_type);
	ghvm_put_u32(&w, vm->n_reason * 4);
	for (unsigned int i = 0; i < vm->n_reason; i++)
		ghvm_put_u32(&w, vm->reason[i]);
	rpc_notify(m, vm->owner, NOTIFY_VM_EXITED, buf, w.len);
}

void vm_set_state(struct model *m, struct vm *vm, enum vm_state state)
{
	vm->state = state;
	notify_status(m, vm);
}

enum rm_status vm_fail(struct model *m, struct vm *vm, enum rm_status status)
{
	model_log(m, "rm: VM failed to start: vmid, status", vm->vmid, (uint64_t)status);
	(void)heap_take(&m->heap, HEAP_FAILED_START); /* leaks; nothing left to leak is fine */
	vm_set_state(m, vm, VM_STATE_INIT_FAILED);
	return status;
}

static void exit_now(struct model *m, struct vm *vm)
{
	vm->exit_at = 0;
	m->host.vm_kill(m->host.ctx, (unsigned int)vm->slot);
	vm_set_state(m, vm, VM_STATE_EXITED);
	notify_exited(m, vm);
}

static void set_reason(struct vm *vm, unsigned int type, const uint32_t *reason,
		       unsigned int n_reason)
{
	vm->exit_type = type;
	vm->n_reason = n_reason < ARRAY_SIZE(vm->reason) ? n_reason : ARRAY_SIZE(vm->reason);
	for (unsigned int i = 0; i < vm->n_reason; i++)
		vm->reason[i] = reason[i];
}

/* Only the first reason counts. */
void vm_exit(struct model *m, struct vm *vm, unsigned int type, const uint32_t *reason,
	     unsigned int n_reason)
{
	if (vm->exit_at)
		return;
	set_reason(vm, type, reason, n_reason);
	if (!m->config.delay_ns) {
		exit_now(m, vm);
		return;
	}
	vm->exit_at = m->host.now(m->host.ctx) + m->config.delay_ns;
	model_schedule(m);
}

void vm_exit_by_call(struct model *m, struct vm *vm, unsigned int type, uint32_t reason)
{
	set_reason(vm, type, &reason, 1);
	exit_now(m, vm);
}

/* Afterwards RM sends no notifications about the VMID until it is allocated again (abi D.1). */
static void reset_now(struct model *m, struct vm *vm)
{
	vm->reset_at = 0;
	parcel_release_all(m, vm);
	guest_destroy(m, vm);
	uncharge(m, vm);
	vm->has_config = false;
	vm->ram_size = 0;
	vm->firmware_max = 0;
	vm->firmware_size = 0;
	vm->os_status = 0;
	vm->app_status = 0;
	vm->crash_len = 0;
	vm_set_state(m, vm, VM_STATE_RESET);
	vm->peer = false;
}

void vm_reset_begin(struct model *m, struct vm *vm)
{
	vm_set_state(m, vm, VM_STATE_RESETTING);
	if (!m->config.delay_ns) {
		reset_now(m, vm);
		return;
	}
	vm->reset_at = m->host.now(m->host.ctx) + m->config.delay_ns;
	model_schedule(m);
}

void vm_work(struct model *m)
{
	uint64_t now = m->host.now(m->host.ctx);

	for (unsigned int i = 0; i < MODEL_VM_RECORDS; i++) {
		struct vm *vm = &m->vms[i];

		if (!vm->used)
			continue;
		if (vm->exit_at && vm->exit_at <= now)
			exit_now(m, vm);
		if (vm->reset_at && vm->reset_at <= now)
			reset_now(m, vm);
	}
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

void model_schedule(struct model *m)
{
	uint64_t when = 0;

	for (unsigned int i = 0; !m->rm_dead && i < MODEL_VM_RECORDS; i++) {
		const struct vm *vm = &m->vms[i];

		if (vm->used)
			when = sooner(when, sooner(vm->exit_at, vm->reset_at));
	}
	m->host.later(m->host.ctx, when);
}

void model_work(struct model *m)
{
	if (!m->rm_dead)
		vm_work(m);
	model_schedule(m);
}

void model_guest_ended(struct model *m, unsigned int slot, unsigned int type,
		       const uint32_t *reason, unsigned int n_reason)
{
	struct vm *vm = slot < MODEL_VMS_MAX ? m->guests[slot].vm : NULL;

	if (!vm || vm->state != VM_STATE_RUNNING || m->rm_dead)
		return;
	if (rm_knob_acts(&m->drop_end, 0)) {
		model_log(m, "rm: an end gets lost: vmid, type", vm->vmid, type);
		return;
	}
	vm_exit(m, vm, type, reason, n_reason);
}
