/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM messages that only ask (abi C.5, E).
 */
#include "tests/model/core/core.h"

#include <string.h>

#define HOST_TYPE 0x01000164
#define VIRQ_HANDLE_NONE 0xffffffff
#define CAP_WATCHDOG 0x574f4f46ULL /* no call here takes it */

enum resource {
	RESOURCE_DOORBELL_TX = 0,
	RESOURCE_DOORBELL_RX = 1,
	RESOURCE_VCPU = 4,
	RESOURCE_WATCHDOG = 8,
};

enum id_kind {
	ID_GUID = 0,
	ID_URI = 1,
	ID_NAME = 2,
};

/* u16 vmid, u16 0; 0: the caller itself */
static struct vm *get_vm(struct rm_call *c)
{
	uint16_t vmid = ghvm_get_u16(&c->in);

	ghvm_get_skip(&c->in, 2);
	return vm_find(c->m, vmid ? vmid : c->caller);
}

static void put_padded(struct ghvm_put *w, const void *p, size_t n)
{
	ghvm_put_bytes(w, p, n);
	ghvm_put_zero(w, (4 - n % 4) % 4);
}

/* u8 kind, u8 0, u16 size, bytes padded to 4 */
static void put_id(struct ghvm_put *w, enum id_kind kind, const void *p, size_t n)
{
	ghvm_put_u8(w, (uint8_t)kind);
	ghvm_put_zero(w, 1);
	ghvm_put_u16(w, (uint16_t)n);
	put_padded(w, p, n);
}

/* Reply: u32 n, n * id */
static enum rm_status get_id(struct rm_call *c)
{
	const struct vm *vm = get_vm(c);
	const struct guest *g;

	if (!vm || (vm->vmid != c->caller && vm->owner != c->caller))
		return RM_NORESOURCE;
	if (vm->state != VM_STATE_READY && vm->state != VM_STATE_RUNNING &&
	    vm->state != VM_STATE_PAUSED)
		return RM_VM_STATE;
	g = guest_of(c->m, vm);
	if (!g) {
		ghvm_put_u32(&c->out, 0);
		return RM_OK;
	}
	ghvm_put_u32(&c->out, 1U + g->has_guid + !!g->uri[0]);
	if (g->has_guid)
		put_id(&c->out, ID_GUID, g->guid, sizeof(g->guid));
	if (g->uri[0])
		put_id(&c->out, ID_URI, g->uri, strlen(g->uri));
	put_id(&c->out, ID_NAME, g->name, strlen(g->name));
	return RM_OK;
}

static enum rm_status get_owner(struct rm_call *c)
{
	ghvm_put_u32(&c->out, vm_find(c->m, c->caller)->owner);
	return RM_OK;
}

/* Reply: u8 vm, u8 os, u16 application */
static enum rm_status get_state(struct rm_call *c)
{
	const struct vm *vm = get_vm(c);

	if (!vm)
		return RM_NORESOURCE;
	ghvm_put_u8(&c->out, (uint8_t)vm->state);
	ghvm_put_u8(&c->out, vm->os_status);
	ghvm_put_u16(&c->out, vm->app_status);
	return RM_OK;
}

/* Reply: u16 length, u16 0, bytes padded to 4 */
static enum rm_status get_crash_msg(struct rm_call *c)
{
	const struct vm *vm = get_vm(c);

	if (!vm || vm->owner != c->caller)
		return RM_VMID_INVALID;
	ghvm_put_u16(&c->out, vm->crash_len);
	ghvm_put_zero(&c->out, 2);
	put_padded(&c->out, vm->crash, vm->crash_len);
	return RM_OK;
}

/*
 * u8 type, u8 0, u16 partner, u32 handle, u32 label, u64 cap, u32 virq handle, u32 virq,
 * u64 base, u64 size
 */
static void put_resource(struct ghvm_put *w, enum resource type, uint16_t partner, uint32_t label,
			 uint64_t cap, uint32_t virq)
{
	ghvm_put_u8(w, (uint8_t)type);
	ghvm_put_zero(w, 1);
	ghvm_put_u16(w, partner);
	ghvm_put_u32(w, 0);
	ghvm_put_u32(w, label);
	ghvm_put_u64(w, cap);
	ghvm_put_u32(w, VIRQ_HANDLE_NONE);
	ghvm_put_u32(w, virq);
	ghvm_put_zero(w, 16);
}

static bool is_doorbell(const struct vdev *d)
{
	return d->type == VDEV_DOORBELL || d->type == VDEV_DOORBELL_SOURCE;
}

static void put_resources(const struct model *m, struct ghvm_put *w, const struct guest *g)
{
	uint16_t vmid = g->vm->vmid;
	uint32_t n = g->n_vcpus + m->config.watchdog;

	for (unsigned int i = 0; i < g->n_vdevs; i++)
		n += is_doorbell(&g->vdevs[i]);
	ghvm_put_u32(w, n);
	if (m->config.watchdog)
		put_resource(w, RESOURCE_WATCHDOG, vmid, 0, CAP_WATCHDOG, 0);
	for (unsigned int i = 0; i < g->n_vcpus; i++)
		put_resource(w, RESOURCE_VCPU, vmid, i, g->vcpu_cap[i], g->vcpu_virq[i]);
	for (unsigned int i = 0; i < g->n_vdevs; i++) {
		const struct vdev *d = &g->vdevs[i];

		if (is_doorbell(d))
			put_resource(w,
				     d->type == VDEV_DOORBELL ? RESOURCE_DOORBELL_TX
							      : RESOURCE_DOORBELL_RX,
				     vmid, d->label, d->host_cap, d->virq);
	}
}

/* Reply: u32 n, n * resource. Resources of other VMs are left out. */
static enum rm_status get_hyp_resources(struct rm_call *c)
{
	const struct vm *vm = get_vm(c);
	const struct guest *g;

	if (!vm)
		return RM_ARGUMENT_INVALID;
	if (!vm->has_config)
		return RM_NORESOURCE;
	g = guest_of(c->m, vm);
	if (g && vm->owner == c->caller)
		put_resources(c->m, &c->out, g);
	else
		ghvm_put_u32(&c->out, 0);
	return RM_OK;
}

static enum rm_status get_vmid(struct rm_call *c)
{
	ghvm_put_u32(&c->out, c->caller);
	return RM_OK;
}

static bool is_peer(const struct rm_call *c, const struct vm *vm)
{
	if (!vm->used || vm->vmid == c->caller || !vm->peer)
		return false;
	return vm->owner == c->caller;
}

/* Reply: u32 n, n * u32 vmid */
static enum rm_status get_peers(struct rm_call *c)
{
	const struct vm *self = vm_find(c->m, c->caller);
	uint32_t n = self->peer;

	for (unsigned int i = 0; i < MODEL_VM_RECORDS; i++)
		n += is_peer(c, &c->m->vms[i]);
	ghvm_put_u32(&c->out, n);
	if (self->peer)
		ghvm_put_u32(&c->out, self->owner);
	for (unsigned int i = 0; i < MODEL_VM_RECORDS; i++) {
		if (is_peer(c, &c->m->vms[i]))
			ghvm_put_u32(&c->out, c->m->vms[i].vmid);
	}
	return RM_OK;
}

static enum rm_status host_get_type(struct rm_call *c)
{
	ghvm_put_u32(&c->out, HOST_TYPE);
	return RM_OK;
}

/* Accepted once a boot; afterwards no firmware can be set. This platform has none. */
static enum rm_status firmware_milestone(struct rm_call *c)
{
	if (c->caller != MODEL_PRIMARY_VMID || c->m->milestone)
		return RM_DENIED;
	c->m->milestone = true;
	return RM_OK;
}

const struct rm_message rm_query_messages[] = {
	{ 0x51000020, firmware_milestone, 0, false }, { 0x56000010, get_id, 4, false },
	{ 0x56000015, get_owner, 0, false },	      { 0x56000017, get_state, 4, false },
	{ 0x56000019, get_crash_msg, 4, false },      { 0x56000020, get_hyp_resources, 4, false },
	{ 0x56000024, get_vmid, 0, false },	      { 0x56000025, get_peers, 0, false },
	{ 0x560000a0, host_get_type, 0, false },
};
const size_t rm_query_n_messages = ARRAY_SIZE(rm_query_messages);
