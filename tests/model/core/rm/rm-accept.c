/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM messages: what the VM that gets a parcel sends, and the notification to it (abi C.6, C.7, K.9).
 *
 * A notification to a guest without a link to RM kills RM (abi K.6). While such a guest is READY, RM accepts
 * parcels for it.
 */
#include "tests/model/core/core.h"

#define ACCEPT_CHECK_SANITISED 1
#define ACCEPT_CHECK_ACL 2
#define ACCEPT_CHECK_LABEL 4
#define ACCEPT_MAP_OTHER 8
#define ACCEPT_CONTIGUOUS 16
#define ACCEPT_SANITISE_RECLAIM 32

#define NOTIFY_SHARED 1
#define NOTIFY_RELEASED 2
#define NOTIFY_ACCEPTED 4
#define NOTIFY_RECALL 8

#define NOTIFY_MEM_SHARED 0x51100011
#define NOTIFY_MEM_RELEASED 0x51100012
#define NOTIFY_MEM_ACCEPTED 0x51100013
#define NOTIFY_MEM_RECALL 0x51100014

struct accept {
	uint8_t mem_type;
	uint8_t trans;
	uint8_t flags;
	uint32_t label;
	unsigned int n_acl;
	unsigned int n_sgl;
	unsigned int n_attr;
	struct ghvm_get acl;
	uint64_t ipa; /* of the first entry */
	uint64_t size;
};

/*
 * after the handle: u8 type, u8 trans, u8 flags, u8 0, u32 label,
 * u16 n, u16 0, acl, u16 n, u16 map vmid, sgl, u16 n, u16 0, attr
 */
static enum rm_status get_accept(struct ghvm_get *g, struct accept *a)
{
	a->mem_type = ghvm_get_u8(g);
	a->trans = ghvm_get_u8(g);
	a->flags = ghvm_get_u8(g);
	ghvm_get_skip(g, 1);
	a->label = ghvm_get_u32(g);
	a->n_acl = ghvm_get_u16(g);
	ghvm_get_skip(g, 2);
	a->acl = *g;
	ghvm_get_skip(g, 4 * (size_t)a->n_acl);
	a->n_sgl = ghvm_get_u16(g);
	ghvm_get_skip(g, 2);
	for (unsigned int i = 0; i < a->n_sgl && !g->bad; i++) {
		uint64_t ipa = ghvm_get_u64(g);

		a->ipa = i ? a->ipa : ipa;
		a->size += ghvm_get_u64(g);
	}
	a->n_attr = ghvm_get_u16(g);
	ghvm_get_skip(g, 2 + 4 * (size_t)a->n_attr);
	return ghvm_get_end(g) < 0 ? RM_MSG_INVALID : RM_OK;
}

static bool same_acl(const struct parcel *p, const struct accept *a)
{
	struct ghvm_get g = a->acl;

	for (unsigned int i = 0; i < a->n_acl && i < p->n_acl; i++) {
		if (ghvm_get_u16(&g) != p->acl[i].vmid || ghvm_get_u8(&g) != p->acl[i].rights)
			return false;
		ghvm_get_skip(&g, 1);
	}
	return a->n_acl == p->n_acl && a->n_attr == p->n_attr;
}

static enum rm_status check_accept(const struct parcel *p, const struct accept *a)
{
	if (a->flags & ACCEPT_MAP_OTHER)
		return RM_DENIED;
	if (a->mem_type != p->mem_type || a->trans != p->trans)
		return RM_ARGUMENT_INVALID;
	if ((a->flags & ACCEPT_CHECK_SANITISED && !p->sanitised) ||
	    (a->flags & ACCEPT_CHECK_ACL && !same_acl(p, a)) ||
	    (a->flags & ACCEPT_CHECK_LABEL && a->label != p->label))
		return RM_VALIDATE_FAILED;
	/* scattering a parcel over the guest's space is not modelled */
	if (a->n_sgl && (a->n_sgl > 1 || a->size != p->size || !ghvm_aligned(a->ipa, MODEL_PAGE)))
		return RM_ARGUMENT_INVALID;
	/* without the flag an address is wanted for each piece */
	if (a->n_sgl && !(a->flags & ACCEPT_CONTIGUOUS) && p->n_entries != 1)
		return RM_ARGUMENT_INVALID;
	return RM_OK;
}

/* The address of a parcel without a given one, as RM chooses it. */
static uint64_t choose_ipa(struct guest *g, const struct parcel *p)
{
	const struct vdev *d = guest_shm(g, p->label);
	uint64_t ipa = g->next_ipa;

	if (d && d->has_base)
		return d->base;
	g->next_ipa += (p->size + MODEL_BLOCK - 1) & ~(MODEL_BLOCK - 1);
	return ipa;
}

/* Reply: u16 1, u8 flags, u8 0, u64 ipa, u64 size; nothing if the caller chose. */
static void put_accepted(struct ghvm_put *w, uint64_t ipa, uint64_t size)
{
	ghvm_put_u16(w, 1);
	ghvm_put_zero(w, 2);
	ghvm_put_u64(w, ipa);
	ghvm_put_u64(w, size);
}

/* u32 handle, and get_accept() */
enum rm_status rm_mem_accept(struct rm_call *c)
{
	struct parcel *p = parcel_find(c->m, ghvm_get_u32(&c->in));
	struct vm *vm = vm_find(c->m, c->caller);
	struct guest *g = guest_of(c->m, vm);
	struct accept a = {};
	enum rm_status status = get_accept(&c->in, &a);

	if (status != RM_OK)
		return status;
	if (!p || !parcel_acl(p, c->caller))
		return RM_HANDLE_INVALID;
	if (!g || p->owner == c->caller || p->state == PARCEL_INIT)
		return RM_DENIED;
	status = check_accept(p, &a);
	if (status != RM_OK)
		return status;
	if (!a.n_sgl)
		a.ipa = choose_ipa(g, p);
	a.size = p->size;
	status = parcel_accept(c->m, p, vm, a.ipa);
	if (status != RM_OK)
		return status;
	p->sanitise_reclaim |= (a.flags & ACCEPT_SANITISE_RECLAIM) != 0;
	if (!a.n_sgl)
		put_accepted(&c->out, a.ipa, a.size);
	if (p->trans == TRANS_DONATE)
		parcel_delete(c->m, p, false);
	return RM_OK;
}

/*
 * u32 handle, u8 type, u8 trans, u8 flags, u8 0, u16 owner, u16 0, u32 label, u32 tag,
 * u16 n, u16 0, acl, u16 n, u16 0, n * u64 size, u16 n, u16 0, attr
 */
void rm_put_mem_shared(struct model *m, uint32_t handle, struct ghvm_put *w)
{
	const struct parcel *p = parcel_find(m, handle);

	if (!p)
		return; /* the parcel was reclaimed meanwhile */
	ghvm_put_u32(w, p->handle);
	ghvm_put_u8(w, p->mem_type);
	ghvm_put_u8(w, (uint8_t)p->trans);
	ghvm_put_u8(w, p->sanitised);
	ghvm_put_zero(w, 1);
	ghvm_put_u16(w, p->owner);
	ghvm_put_zero(w, 2);
	ghvm_put_u32(w, p->label);
	ghvm_put_u32(w, p->tag);
	ghvm_put_u16(w, (uint16_t)p->n_acl);
	ghvm_put_zero(w, 2);
	for (unsigned int i = 0; i < p->n_acl; i++) {
		ghvm_put_u16(w, p->acl[i].vmid);
		ghvm_put_u8(w, p->acl[i].rights);
		ghvm_put_zero(w, 1);
	}
	ghvm_put_u16(w, (uint16_t)p->n_entries);
	ghvm_put_zero(w, 2);
	for (const struct sgl_entry *e = parcel_entries(m, p); e; e = parcel_next(m, e))
		ghvm_put_u64(w, e->n * MODEL_PAGE);
	ghvm_put_u16(w, (uint16_t)p->n_attr);
	ghvm_put_zero(w, 2);
	for (unsigned int i = 0; i < p->n_attr; i++) {
		ghvm_put_u16(w, p->attr[i].attr);
		ghvm_put_u16(w, p->attr[i].vmid);
	}
}

static void notify_handle(struct model *m, const struct parcel *p, uint16_t vmid, uint32_t id)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, p->handle);
	ghvm_put_u32(&w, p->tag);
	rpc_notify(m, vmid, id, buf, w.len);
}

/* To a guest that does not run yet: only a window that its tree places is mapped now. */
static enum rm_status accept_in_ready(struct model *m, struct parcel *p, struct vm *vm)
{
	struct guest *g = guest_of(m, vm);

	if (!guest_shm(g, p->label))
		return RM_MEM_RELEASED;
	return parcel_accept(m, p, vm, choose_ipa(g, p));
}

static enum rm_status tell_shared(struct model *m, struct parcel *p, uint16_t vmid)
{
	struct vm *vm = vm_find(m, vmid);

	if (!parcel_acl(p, vmid) || !vm)
		return RM_VMID_INVALID;
	if (vm->state == VM_STATE_READY)
		return accept_in_ready(m, p, vm);
	if (!rpc_client_find(m, vmid)) {
		rm_die(m, "rm: MEM_NOTIFY(shared) to a VM without a link to RM");
		return RM_VM_STATE;
	}
	notify_handle(m, p, vmid, NOTIFY_MEM_SHARED);
	return RM_OK;
}

static enum rm_status tell_recall(struct model *m, struct parcel *p, uint16_t vmid)
{
	if (!parcel_acl(p, vmid))
		return RM_VMID_INVALID;
	notify_handle(m, p, vmid, NOTIFY_MEM_RECALL);
	return RM_OK;
}

/* u16 n, u16 0, n * { u16 vmid, u16 0 } */
static enum rm_status tell_all(struct rm_call *c, struct parcel *p, uint8_t flags)
{
	unsigned int n = ghvm_get_u16(&c->in);
	enum rm_status status = RM_OK;

	ghvm_get_skip(&c->in, 2);
	if (c->in.bad || c->in.len != 4 * (size_t)n)
		return RM_MSG_INVALID;
	for (unsigned int i = 0; i < n && status == RM_OK; i++) {
		uint16_t vmid = ghvm_get_u16(&c->in);

		ghvm_get_skip(&c->in, 2);
		status = flags == NOTIFY_SHARED ? tell_shared(c->m, p, vmid)
						: tell_recall(c->m, p, vmid);
	}
	return status;
}

static enum rm_status tell_owner(struct rm_call *c, const struct parcel *p, uint8_t flags)
{
	if (c->in.len)
		return RM_MSG_INVALID;
	parcel_notify_owner(c->m, p, vm_find(c->m, c->caller),
			    flags == NOTIFY_RELEASED ? NOTIFY_MEM_RELEASED : NOTIFY_MEM_ACCEPTED);
	return RM_OK;
}

static bool check_tag(struct parcel *p, uint32_t tag)
{
	if (p->tag_set)
		return p->tag == tag;
	p->tag_set = true;
	p->tag = tag;
	return true;
}

/* u32 handle, u8 flags, u8[3] 0, u32 tag; for SHARED and RECALL also a list of VMIDs */
enum rm_status rm_mem_notify(struct rm_call *c)
{
	struct parcel *p = parcel_find(c->m, ghvm_get_u32(&c->in));
	uint8_t flags = ghvm_get_u8(&c->in);
	bool by_owner = flags == NOTIFY_SHARED || flags == NOTIFY_RECALL;
	uint32_t tag;

	ghvm_get_skip(&c->in, 3);
	tag = ghvm_get_u32(&c->in);
	if (!by_owner && flags != NOTIFY_RELEASED && flags != NOTIFY_ACCEPTED)
		return RM_ARGUMENT_INVALID;
	if (!p)
		return RM_HANDLE_INVALID;
	if (by_owner ? p->owner != c->caller : !parcel_acl(p, c->caller))
		return RM_DENIED;
	if (!check_tag(p, tag))
		return RM_ARGUMENT_INVALID;
	return by_owner ? tell_all(c, p, flags) : tell_owner(c, p, flags);
}
