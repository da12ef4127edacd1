/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest from VM_INIT to its end: slot, vCPUs, memory (abi D.6, K.7).
 *
 * Parcels are accepted at VM_START, not before. A second parcel with label 0 makes VM_START fail,
 * as RM adds it to RAM.
 */
#include "tests/model/core/core.h"

#include <string.h>

struct guest *guest_of(struct model *m, const struct vm *vm)
{
	return vm->slot < 0 ? NULL : &m->guests[vm->slot];
}

struct vdev *guest_shm(struct guest *g, uint32_t label)
{
	for (unsigned int i = 0; i < g->n_vdevs; i++) {
		if (g->vdevs[i].type == VDEV_SHM && g->vdevs[i].label == label)
			return &g->vdevs[i];
	}
	return NULL;
}

int model_slot(const struct model *m, uint16_t vmid)
{
	for (unsigned int i = 0; i < MODEL_VM_RECORDS; i++) {
		if (m->vms[i].used && m->vms[i].vmid == vmid)
			return m->vms[i].slot;
	}
	return -1;
}

/* ---- VM_INIT ---- */

static struct guest *take_slot(struct model *m, struct vm *vm)
{
	for (unsigned int i = 0; i < MODEL_VMS_MAX; i++) {
		struct guest *g = &m->guests[i];

		if (g->vm)
			continue;
		memset(g, 0, sizeof(*g));
		g->vm = vm;
		g->next_ipa = MODEL_IPA_CHOSEN;
		vm->slot = (int)i;
		return g;
	}
	return NULL;
}

static enum rm_status check_vcpus(struct model *m, const struct guest *g)
{
	if (!g->proxy) {
		model_log(m, "rm: only proxy vCPUs are modelled, VM", g->vm->vmid, 0);
		return RM_NORESOURCE;
	}
	if (!g->n_vcpus || g->n_vcpus > m->config.cpus || g->n_vcpus > MODEL_VCPUS_MAX)
		return RM_NORESOURCE;
	return RM_OK;
}

static enum rm_status make_vcpus(struct model *m, struct guest *g)
{
	for (unsigned int i = 0; i < g->n_vcpus; i++) {
		g->vcpu_virq[i] = virq_alloc(m);
		if (!g->vcpu_virq[i])
			return RM_NORESOURCE;
		g->vcpu_cap[i] =
			cspace_add(m, SPACE_PRIMARY, CAP_VCPU,
				   RIGHT_VCPU_AFFINITY | RIGHT_VCPU_YIELD_TO, g->vm->slot, i);
	}
	return RM_OK;
}

static enum rm_status make_objects(struct model *m, struct guest *g)
{
	struct vm *vm = g->vm;
	enum rm_status status = check_vcpus(m, g);

	if (status != RM_OK)
		return status;
	if (!heap_fits_init(&m->heap, g->n_vdevs) ||
	    !vm_charge(m, vm, (uint64_t)HEAP_VCPU * g->n_vcpus + (uint64_t)HEAP_VDEV * g->n_vdevs))
		return RM_MEM_INVALID; /* RM returns the same for a bad tree (abi K.2) */
	status = make_vcpus(m, g);
	if (status == RM_OK)
		status = guest_make_devices(m, g);
	if (status != RM_OK)
		return status;
	if (m->host.vm_create(m->host.ctx, (unsigned int)vm->slot, vm->vmid, g->n_vcpus, g->gicd,
			      g->gicr) < 0)
		return RM_NORESOURCE;
	g->created = true;
	return RM_OK;
}

/* abi D.5 */
static void init_registers(struct guest *g, const struct vm *vm)
{
	g->boot.pc = g->base + vm->image_off;
	g->boot.x[0] = g->base + vm->dt_off;
	if (vm->auth != AUTH_ANDROID)
		return;
	g->boot.x[1] = g->boot.pc;
	g->boot.x[2] = vm->image_size;
	g->boot.pc = g->firmware_base + vm->firmware_off;
}

enum rm_status guest_init(struct model *m, struct vm *vm)
{
	enum rm_status status = guest_dt_load(m, vm);
	struct guest *g;

	if (status != RM_OK)
		return status;
	g = take_slot(m, vm);
	if (!g)
		return RM_NORESOURCE;
	status = guest_dt_parse(m, g);
	if (status == RM_OK)
		status = make_objects(m, g);
	if (status != RM_OK) {
		guest_destroy(m, vm);
		return status;
	}
	init_registers(g, vm);
	return RM_OK;
}

void guest_destroy(struct model *m, struct vm *vm)
{
	struct guest *g = guest_of(m, vm);

	if (!g)
		return;
	cspace_revoke_slot(m, vm->slot);
	guest_free_devices(m, g);
	for (unsigned int i = 0; i < g->n_vcpus && i < MODEL_VCPUS_MAX; i++)
		virq_free(m, g->vcpu_virq[i]);
	if (g->created)
		m->host.vm_destroy(m->host.ctx, (unsigned int)vm->slot);
	g->vm = NULL;
	vm->slot = -1;
}

/* ---- VM_START ---- */

/* abi D.5: requirements for the image parcel; a debug image has fewer. */
static bool image_acceptable(const struct model *m, const struct parcel *p, const struct vm *vm)
{
	if (p->mem_type || p->n_attr || p->state != PARCEL_SHARING)
		return false;
	if (!m->config.production && p->trans == TRANS_SHARE)
		return true;
	return p->trans == TRANS_LEND && p->n_acl == 1 && p->acl[0].vmid == vm->vmid &&
	       p->acl[0].rights == RIGHTS_RWX;
}

static enum rm_status accept_image(struct model *m, struct vm *vm, const struct guest *g)
{
	struct parcel *p = parcel_find(m, vm->image);

	if (!p || !parcel_acl(p, vm->vmid) || !image_acceptable(m, p, vm))
		return RM_VALIDATE_FAILED;
	if (g->size_max && p->size > g->size_max)
		return RM_MEM_INVALID;
	return parcel_accept(m, p, vm, g->base);
}

static bool is_more_ram(const struct parcel *p)
{
	return !p->label && p->trans == TRANS_LEND && !p->mem_type && p->n_acl == 1 &&
	       p->acl[0].rights == RIGHTS_RWX && !p->n_attr;
}

static uint64_t choose_ipa(struct guest *g, const struct parcel *p)
{
	uint64_t ipa = g->next_ipa;

	g->next_ipa += (p->size + MODEL_BLOCK - 1) & ~(MODEL_BLOCK - 1);
	return ipa;
}

/*
 * abi K.7: with a node and a vdevice a window is mapped at its address, whatever its pages; with
 * a node alone it must be one run of pages; with a vdevice alone RM creates a node.
 */
static enum rm_status place_window(struct model *m, struct guest *g, const struct parcel *p,
				   uint64_t *ret_ipa)
{
	const struct vdev *d = guest_shm(g, p->label);
	uint64_t ipa = IPA_NONE, size = 0;
	int found = guest_dt_window(m, p->label, &ipa, &size);

	if (found < 0 || (found && size != p->size) || (found && !d && p->n_entries != 1))
		return RM_MEM_INVALID;
	if (d && d->has_base) {
		if (ipa != IPA_NONE && ipa != d->base)
			return RM_MEM_INVALID;
		ipa = d->base;
	}
	*ret_ipa = ipa != IPA_NONE ? ipa : choose_ipa(g, p);
	return RM_OK;
}

/* What others than the open RM do is not known. */
static bool is_on_info_page(const struct model *m, uint64_t ipa, uint64_t size)
{
	return !m->config.boot_context && ipa < MODEL_IPA_INFO + MODEL_PAGE &&
	       ipa + size > MODEL_IPA_INFO;
}

static enum rm_status accept_other(struct model *m, struct vm *vm, struct guest *g,
				   struct parcel *p)
{
	enum rm_status status;
	uint64_t ipa;

	if (is_more_ram(p))
		return RM_DENIED;
	status = place_window(m, g, p, &ipa);
	if (status == RM_OK && is_on_info_page(m, ipa, p->size))
		status = RM_NORESOURCE;
	return status == RM_OK ? parcel_accept(m, p, vm, ipa) : status;
}

static enum rm_status accept_others(struct model *m, struct vm *vm, struct guest *g)
{
	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		struct parcel *p = &m->parcels[i];
		const struct acl_entry *a = p->used ? parcel_acl(p, vm->vmid) : NULL;
		enum rm_status status;

		if (!a || a->accepted || p->state == PARCEL_INIT)
			continue;
		status = accept_other(m, vm, g, p);
		if (status != RM_OK)
			return status;
	}
	return RM_OK;
}

static bool has_parcel(struct model *m, const struct vm *vm, uint32_t label)
{
	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		struct parcel *p = &m->parcels[i];
		const struct acl_entry *a = p->used ? parcel_acl(p, vm->vmid) : NULL;

		if (a && a->accepted && p->label == label && p->handle != vm->image)
			return true;
	}
	return false;
}

/* Every window in the tree must have a parcel. */
static bool windows_complete(struct model *m, const struct vm *vm, const struct guest *g)
{
	int64_t label;

	for (unsigned int i = 0; i < g->n_vdevs; i++) {
		const struct vdev *d = &g->vdevs[i];

		if (d->type == VDEV_SHM && !d->optional && !has_parcel(m, vm, d->label))
			return false;
	}
	for (unsigned int i = 0; (label = guest_dt_window_label(m, i)) >= 0; i++) {
		if (!has_parcel(m, vm, (uint32_t)label))
			return false;
	}
	return true;
}

static enum rm_status accept_all(struct model *m, struct vm *vm, struct guest *g)
{
	enum rm_status status = accept_image(m, vm, g);

	if (status == RM_OK)
		status = accept_others(m, vm, g);
	if (status == RM_OK && !windows_complete(m, vm, g))
		status = RM_MEM_INVALID;
	if (status == RM_OK)
		status = guest_dt_patch(m, vm, g);
	return status;
}

static void release_quietly(struct model *m, struct vm *vm)
{
	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		struct parcel *p = &m->parcels[i];
		const struct acl_entry *a = p->used ? parcel_acl(p, vm->vmid) : NULL;

		if (a && a->accepted)
			parcel_release(m, p, vm);
	}
}

static bool firmware_fits(const struct model *m, const struct vm *vm, const struct guest *g,
			  const struct parcel *p)
{
	return vm->firmware_size && m->config.firmware_size <= vm->firmware_size &&
	       vm->firmware_off <= g->firmware_max &&
	       vm->firmware_size <= g->firmware_max - vm->firmware_off &&
	       g->firmware_base == g->base && g->firmware_max <= p->size;
}

/* RM copies its firmware into the image parcel, and clears the rest of the place. */
static enum rm_status place_firmware(struct model *m, const struct vm *vm, const struct guest *g)
{
	static const uint8_t zeroes[MODEL_PAGE];
	const struct parcel *p = parcel_find(m, vm->image);
	uint64_t at = vm->firmware_off + m->config.firmware_size;
	const uint64_t end = vm->firmware_off + vm->firmware_size;

	if (!firmware_fits(m, vm, g, p) ||
	    parcel_copy_in(m, p, vm->firmware_off, m->config.firmware, m->config.firmware_size) < 0)
		return RM_MEM_INVALID;
	while (at < end) {
		uint64_t n = end - at < sizeof(zeroes) ? end - at : sizeof(zeroes);

		if (parcel_copy_in(m, p, at, zeroes, n) < 0)
			return RM_MEM_INVALID;
		at += n;
	}
	return RM_OK;
}

/* The hypervisor takes no other stack pointers (abi C.5). */
static bool stacks_aligned(const struct guest *g)
{
	return !((g->boot.sp[0] | g->boot.sp[1]) & 0xf);
}

/* Any failure is NORESOURCE, except for a second RAM parcel (abi K.7). */
enum rm_status guest_start(struct model *m, struct vm *vm)
{
	struct guest *g = guest_of(m, vm);
	enum rm_status status = guest_dt_load(m, vm);

	if (status == RM_OK)
		status = accept_all(m, vm, g);
	if (status == RM_OK && vm->auth == AUTH_ANDROID)
		status = place_firmware(m, vm, g);
	if (status == RM_OK && !stacks_aligned(g))
		status = RM_ARGUMENT_INVALID;
	if (status != RM_OK) {
		model_log(m, "rm: VM_START failed inside: vmid, why", vm->vmid, (uint64_t)status);
		release_quietly(m, vm);
		return status == RM_DENIED ? RM_DENIED : RM_NORESOURCE;
	}
	vm_set_state(m, vm, VM_STATE_RUNNING);
	m->host.vm_start(m->host.ctx, (unsigned int)vm->slot, &g->boot);
	return RM_OK;
}
