/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM messages: create and reclaim parcels (abi C.6, K.2, K.9).
 *
 * Only the primary creates parcels here. Each request that is well-formed uses up a handle, even if it is
 * refused.
 */
#include "tests/model/core/core.h"

#define TYPE_IO 1
#define CREATE_SANITISE 1
#define CREATE_APPEND 2
#define APPEND_DONE 1
#define RECLAIM_SANITISE 1
#define ATTR_DEVICE 1
#define ATTR_LAST 3
#define VMID_STATIC_END 64

/* A request with its lists: cursors at their first elements. */
struct lists {
	uint8_t mem_type;
	uint8_t flags;
	uint32_t label;
	unsigned int n_acl;
	unsigned int n_sgl;
	unsigned int n_attr;
	struct ghvm_get acl;
	struct ghvm_get sgl;
	struct ghvm_get attr;
};

/* u16 n, u16 0, n * element; false: more than RM takes. */
static bool get_list(struct ghvm_get *g, size_t element, unsigned int *ret_n,
		     struct ghvm_get *ret_list)
{
	*ret_n = ghvm_get_u16(g);
	ghvm_get_skip(g, 2);
	*ret_list = *g;
	ghvm_get_skip(g, *ret_n * element);
	return *ret_n <= MODEL_LIST_MAX;
}

/* acl: u16 vmid, u8 rights, u8 0. sgl: u64 ipa, u64 size. attr, may be missing: u16, u16 */
static enum rm_status get_lists(struct ghvm_get *g, struct lists *l)
{
	if (!get_list(g, 4, &l->n_acl, &l->acl) || !get_list(g, 16, &l->n_sgl, &l->sgl))
		return RM_NORESOURCE;
	if (g->len && !get_list(g, 4, &l->n_attr, &l->attr))
		return RM_NORESOURCE;
	return ghvm_get_end(g) < 0 ? RM_MSG_INVALID : RM_OK;
}

/* u8 type, u8 0, u8 flags, u8 0, u32 label, lists */
static enum rm_status get_create(struct rm_call *c, struct lists *l)
{
	l->mem_type = ghvm_get_u8(&c->in);
	ghvm_get_skip(&c->in, 1);
	l->flags = ghvm_get_u8(&c->in);
	ghvm_get_skip(&c->in, 1);
	l->label = ghvm_get_u32(&c->in);
	return get_lists(&c->in, l);
}

/* RM accepts its own and any static VMID, even if no such VM exists (abi K.9). */
static bool vmid_acceptable(struct model *m, uint16_t vmid)
{
	if (vmid == MODEL_RM_VMID)
		return true;
	return vmid && (vmid < VMID_STATIC_END || vm_find(m, vmid));
}

static enum rm_status check_acl_entry(struct model *m, const struct parcel *p,
				      const struct acl_entry *a)
{
	if (a->rights < RIGHTS_R || a->rights > RIGHTS_RWX)
		return RM_ARGUMENT_INVALID;
	if (p->mem_type == TYPE_IO && a->rights & RIGHTS_X)
		return RM_ARGUMENT_INVALID;
	if (!vmid_acceptable(m, a->vmid))
		return RM_ARGUMENT_INVALID;
	return RM_OK;
}

static enum rm_status take_acl(struct model *m, struct parcel *p, struct lists *l)
{
	for (unsigned int i = 0; i < l->n_acl; i++) {
		struct acl_entry a = { .vmid = ghvm_get_u16(&l->acl) };
		enum rm_status status;

		a.rights = ghvm_get_u8(&l->acl);
		ghvm_get_skip(&l->acl, 1);
		status = check_acl_entry(m, p, &a);
		if (status != RM_OK)
			return status;
		if (parcel_acl(p, a.vmid))
			return RM_ARGUMENT_INVALID;
		p->acl[p->n_acl++] = a;
	}
	return RM_OK;
}

static bool attr_fits(const struct parcel *p, uint16_t attr)
{
	if (attr > ATTR_LAST)
		return false;
	return (p->mem_type == TYPE_IO) == (attr == ATTR_DEVICE);
}

static enum rm_status take_attrs(struct parcel *p, struct lists *l)
{
	for (unsigned int i = 0; i < l->n_attr; i++) {
		struct attr_entry a = { .attr = ghvm_get_u16(&l->attr) };

		a.vmid = ghvm_get_u16(&l->attr);
		if (!parcel_acl(p, a.vmid))
			return RM_VMID_INVALID;
		for (unsigned int j = 0; j < p->n_attr; j++) {
			if (p->attr[j].vmid == a.vmid)
				return RM_ARGUMENT_INVALID;
		}
		if (!attr_fits(p, a.attr))
			return RM_ARGUMENT_INVALID;
		p->attr[p->n_attr++] = a;
	}
	return RM_OK;
}

static enum rm_status check_owner(const struct parcel *p, bool in_acl)
{
	uint8_t full = p->mem_type == TYPE_IO ? RIGHTS_RW : RIGHTS_RWX;

	if (p->trans == TRANS_DONATE && p->acl[0].rights != full)
		return RM_DENIED;
	return in_acl == (p->trans == TRANS_SHARE) ? RM_OK : RM_ARGUMENT_INVALID;
}

static enum rm_status fill_parcel(struct model *m, struct parcel *p, struct lists *l)
{
	enum rm_status status;

	if (p->sanitised && p->mem_type == TYPE_IO)
		return RM_ARGUMENT_INVALID;
	status = take_acl(m, p, l);
	if (status == RM_OK)
		status = check_owner(p, parcel_acl(p, p->owner));
	if (status == RM_OK)
		status = take_attrs(p, l);
	if (status == RM_OK)
		status = parcel_append(m, p, &l->sgl, l->n_sgl);
	return status;
}

static enum rm_status check_counts(const struct lists *l, enum parcel_trans trans)
{
	if (!l->n_acl || !l->n_sgl || (trans == TRANS_DONATE && l->n_acl > 1))
		return RM_ARGUMENT_INVALID;
	if (l->n_acl > MODEL_ACL_MAX || l->n_attr > MODEL_ACL_MAX)
		return RM_NORESOURCE;
	return RM_OK;
}

static enum rm_status create_parcel(struct rm_call *c, enum parcel_trans trans)
{
	struct model *m = c->m;
	struct lists l = {};
	struct parcel *p;
	enum rm_status status = get_create(c, &l);
	uint32_t handle;

	if (status != RM_OK)
		return status;
	handle = m->next_handle++;
	status = check_counts(&l, trans);
	if (status != RM_OK)
		return status;
	p = c->caller == MODEL_PRIMARY_VMID ? parcel_new(m) : NULL;
	if (!p)
		return RM_DENIED;
	if (!heap_take(&m->heap, HEAP_PARCEL)) {
		p->used = false;
		return RM_NOMEM;
	}
	p->handle = handle;
	p->owner = c->caller;
	p->mem_type = l.mem_type;
	p->trans = trans;
	p->label = l.label;
	p->sanitised = l.flags & CREATE_SANITISE;
	p->state = l.flags & CREATE_APPEND ? PARCEL_INIT : PARCEL_SHARING;

	status = fill_parcel(m, p, &l);
	if (status != RM_OK) {
		parcel_delete(m, p, true);
		return status;
	}
	ghvm_put_u32(&c->out, handle);
	return RM_OK;
}

static enum rm_status donate(struct rm_call *c)
{
	return create_parcel(c, TRANS_DONATE);
}

static enum rm_status lend(struct rm_call *c)
{
	return create_parcel(c, TRANS_LEND);
}

static enum rm_status share(struct rm_call *c)
{
	return create_parcel(c, TRANS_SHARE);
}

/* u32 handle, u8 flags, u8[3] 0, u16 n, u16 0, n * { u64 ipa, u64 size } */
static enum rm_status append(struct rm_call *c)
{
	struct parcel *p = parcel_find(c->m, ghvm_get_u32(&c->in));
	uint8_t flags = ghvm_get_u8(&c->in);
	struct ghvm_get sgl;
	unsigned int n;
	enum rm_status status;

	ghvm_get_skip(&c->in, 3);
	if (!get_list(&c->in, 16, &n, &sgl))
		return RM_NORESOURCE;
	if (ghvm_get_end(&c->in) < 0)
		return RM_MSG_INVALID;
	if (!p)
		return RM_HANDLE_INVALID;
	if (p->owner != c->caller || p->state != PARCEL_INIT)
		return RM_DENIED;
	if (!n)
		return RM_ARGUMENT_INVALID;
	status = parcel_append(c->m, p, &sgl, n);
	if (status == RM_OK && flags & APPEND_DONE)
		p->state = PARCEL_SHARING;
	return status;
}

/* u32 handle, u8 flags, u8[3] 0 */
static enum rm_status reclaim(struct rm_call *c)
{
	struct parcel *p = parcel_find(c->m, ghvm_get_u32(&c->in));
	uint8_t flags = ghvm_get_u8(&c->in);

	if (!p)
		return RM_HANDLE_INVALID;
	if (p->owner != c->caller)
		return RM_DENIED;
	if (p->state == PARCEL_SHARED)
		return RM_MEM_INUSE;
	if (flags & RECLAIM_SANITISE || p->sanitise_reclaim)
		parcel_zero(c->m, p);
	parcel_delete(c->m, p, true);
	return RM_OK;
}

/* u32 handle, u8 flags, u8[3] 0; from the VM that has accepted it */
static enum rm_status release_parcel(struct rm_call *c)
{
	struct parcel *p = parcel_find(c->m, ghvm_get_u32(&c->in));
	uint8_t flags = ghvm_get_u8(&c->in);
	const struct acl_entry *a;

	if (!p || p->owner == c->caller)
		return RM_HANDLE_INVALID;
	a = parcel_acl(p, c->caller);
	if (!a)
		return RM_HANDLE_INVALID;
	if (!a->accepted)
		return RM_MEM_RELEASED;
	if (flags & RECLAIM_SANITISE)
		parcel_zero(c->m, p);
	parcel_release(c->m, p, vm_find(c->m, c->caller));
	return RM_OK;
}

static bool same_acl(const struct parcel *p, struct lists *l)
{
	struct ghvm_get acl = l->acl;

	if (l->n_acl != p->n_acl)
		return false;
	for (unsigned int i = 0; i < p->n_acl; i++) {
		uint16_t vmid = ghvm_get_u16(&acl);

		if (vmid != p->acl[i].vmid || ghvm_get_u8(&acl) != p->acl[i].rights)
			return false;
		ghvm_get_skip(&acl, 1);
	}
	return true;
}

static bool same_attrs(const struct parcel *p, const struct lists *l)
{
	struct ghvm_get attr = l->attr;

	if (l->n_attr != p->n_attr)
		return false;
	for (unsigned int i = 0; i < p->n_attr; i++) {
		uint16_t value = ghvm_get_u16(&attr);

		if (value != p->attr[i].attr || ghvm_get_u16(&attr) != p->attr[i].vmid)
			return false;
	}
	return true;
}

static bool same_sgl(const struct model *m, const struct parcel *p, const struct lists *l)
{
	const struct sgl_entry *e = parcel_entries(m, p);
	struct ghvm_get sgl = l->sgl;

	if (l->n_sgl != p->n_entries)
		return false;
	for (; e; e = parcel_next(m, e)) {
		uint64_t ipa = ghvm_get_u64(&sgl);

		if (ipa != e->page * MODEL_PAGE || ghvm_get_u64(&sgl) != e->n * MODEL_PAGE)
			return false;
	}
	return true;
}

/* u8 type, u8[3] 0, u32 label, lists; the label is not compared (abi K.6). */
static enum rm_status lookup_sgl(struct rm_call *c)
{
	struct lists l = { .mem_type = ghvm_get_u8(&c->in) };
	enum rm_status status;

	ghvm_get_skip(&c->in, 3);
	l.label = ghvm_get_u32(&c->in);
	status = get_lists(&c->in, &l);
	if (status != RM_OK)
		return status;
	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		const struct parcel *p = &c->m->parcels[i];

		if (!p->used || p->owner != c->caller || p->state != PARCEL_SHARING ||
		    p->mem_type != l.mem_type)
			continue;
		if (!same_acl(p, &l) || !same_sgl(c->m, p, &l) || !same_attrs(p, &l))
			continue;
		ghvm_put_u32(&c->out, p->handle);
		return RM_OK;
	}
	return RM_LOOKUP_FAILED;
}

const struct rm_message rm_mem_messages[] = {
	{ 0x51000010, donate, 16, true },	 { 0x51000011, rm_mem_accept, 24, true },
	{ 0x51000012, lend, 16, true },		 { 0x51000013, share, 16, true },
	{ 0x51000014, release_parcel, 8, true }, { 0x51000015, reclaim, 8, true },
	{ 0x51000017, rm_mem_notify, 12, true }, { 0x51000018, append, 12, true },
	{ 0x5100001a, lookup_sgl, 12, true },
};
const size_t rm_mem_n_messages = ARRAY_SIZE(rm_mem_messages);
