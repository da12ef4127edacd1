/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parcels: pages that have left the primary, their new owners, and where they are mapped.
 *
 * One byte per page names its owner: 0 the primary, else the parcel's index + 1, or DONATED for
 * good. A page is in at most one parcel (abi I.18).
 */
#include "tests/model/core/core.h"

#include <string.h>

#define DONATED 0xff
#define GIGABYTE GHVM_GIB(1)
#define SPLIT_GIGABYTE 1
#define SPLIT_BLOCK 2
#define NOTIFY_MEM_RELEASED 0x51100012

struct parcel *parcel_find(struct model *m, uint32_t handle)
{
	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		if (m->parcels[i].used && m->parcels[i].handle == handle)
			return &m->parcels[i];
	}
	return NULL;
}

struct parcel *parcel_new(struct model *m)
{
	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		struct parcel *p = &m->parcels[i];

		if (p->used)
			continue;
		memset(p, 0, sizeof(*p));
		p->used = true;
		return p;
	}
	return NULL;
}

struct acl_entry *parcel_acl(struct parcel *p, uint16_t vmid)
{
	for (unsigned int i = 0; i < p->n_acl; i++) {
		if (p->acl[i].vmid == vmid)
			return &p->acl[i];
	}
	return NULL;
}

/* ---- pages ---- */

static uint64_t entry_pa(const struct sgl_entry *e)
{
	return e->page * MODEL_PAGE;
}

static uint64_t entry_size(const struct sgl_entry *e)
{
	return e->n * MODEL_PAGE;
}

static uint8_t *owner_of(const struct model *m, const struct sgl_entry *e)
{
	return m->owner + (entry_pa(e) - m->config.ram_base) / MODEL_PAGE;
}

static uint8_t *split_of(const struct model *m, uint64_t pa)
{
	return m->split + (pa / MODEL_BLOCK - m->config.ram_base / MODEL_BLOCK);
}

/* The size of the primary's stage 2 leaf at @pa; a block that was split has pages. */
static uint64_t leaf_size(const struct model *m, uint64_t pa)
{
	uint8_t split = *split_of(m, pa);

	if (!(split & SPLIT_GIGABYTE))
		return GIGABYTE;
	return split & SPLIT_BLOCK ? MODEL_PAGE : MODEL_BLOCK;
}

/* Note that the 1 GiB leaf and the 2 MiB leaf around @pa are split. */
static void split_at(struct model *m, uint64_t pa)
{
	uint64_t at = pa & ~(GIGABYTE - 1), end = at + GIGABYTE;

	if (*split_of(m, pa) & SPLIT_GIGABYTE)
		at = end; /* done before */
	for (; at < end; at += MODEL_BLOCK) {
		if (at + MODEL_BLOCK > m->config.ram_base &&
		    at < m->config.ram_base + m->config.ram_size)
			*split_of(m, at) |= SPLIT_GIGABYTE;
	}
	*split_of(m, pa) |= SPLIT_BLOCK;
}

static void split_range(struct model *m, uint64_t pa, uint64_t size)
{
	split_at(m, pa);
	split_at(m, pa + size - MODEL_PAGE);
}

/*
 * abi K.3: pages in a larger leaf that starts outside the entry stay mapped, while RM believes
 * that they are unmapped.
 */
static int unmap_quirky(struct model *m, uint64_t pa, uint64_t size)
{
	uint64_t end = pa + size, at = pa;

	while (at < end) {
		uint64_t leaf = leaf_size(m, at), base = at & ~(leaf - 1);
		uint64_t next = base + leaf < end ? base + leaf : end;

		if (base < pa) {
			model_log(m, "lend: left mapped (abi K.3)", at, next - at);
		} else {
			if (m->host.primary_unmap(m->host.ctx, at, next - at) < 0)
				return -1;
			split_range(m, at, next - at);
		}
		at = next;
	}
	return 0;
}

static int entry_unmap(struct model *m, const struct parcel *p, const struct sgl_entry *e)
{
	uint64_t pa = entry_pa(e), size = entry_size(e);

	if (m->config.presplit_quirk && p->trans != TRANS_SHARE)
		return unmap_quirky(m, pa, size);
	split_range(m, pa, size);
	return m->host.primary_unmap(m->host.ctx, pa, size);
}

static void entry_zero(struct model *m, const struct sgl_entry *e)
{
	void *p = m->host.ram(m->host.ctx, entry_pa(e), entry_size(e));

	if (p)
		memset(p, 0, entry_size(e));
}

/* Unmap from the primary, or map with other rights. */
static enum rm_status entry_leave(struct model *m, struct parcel *p, const struct sgl_entry *e)
{
	const struct acl_entry *self = parcel_acl(p, p->owner);

	if (entry_unmap(m, p, e) < 0)
		return RM_NOMEM;
	if (self && m->host.primary_map(m->host.ctx, entry_pa(e), entry_size(e), self->rights) < 0)
		return RM_MAP_FAILED;
	memset(owner_of(m, e), (int)(p - m->parcels) + 1, e->n);
	if (p->sanitised)
		entry_zero(m, e);
	return RM_OK;
}

static void entry_return(struct model *m, const struct sgl_entry *e)
{
	if (m->host.primary_map(m->host.ctx, entry_pa(e), entry_size(e), RIGHTS_RWX) < 0)
		m->host.panic(m->host.ctx, "model: no table for what was mapped before");
	memset(owner_of(m, e), 0, e->n);
}

/* ---- lists ---- */

static struct sgl_entry *entry_at(const struct model *m, uint32_t link)
{
	return link ? &m->entries[link - 1] : NULL;
}

struct sgl_entry *parcel_entries(const struct model *m, const struct parcel *p)
{
	return entry_at(m, p->first);
}

struct sgl_entry *parcel_next(const struct model *m, const struct sgl_entry *e)
{
	return entry_at(m, e->next);
}

static void entry_free(struct model *m, uint32_t link)
{
	entry_at(m, link)->next = m->free_entry;
	m->free_entry = link;
	heap_give(&m->heap, HEAP_ENTRY);
}

static enum rm_status entry_check(struct model *m, uint64_t ipa, uint64_t size)
{
	if (!ghvm_aligned(ipa, MODEL_PAGE) || !ghvm_aligned(size, MODEL_PAGE) ||
	    ipa >= MODEL_IPA_END || size > MODEL_IPA_END)
		return RM_ARGUMENT_INVALID;
	if (!size || !model_is_ram(m, ipa, MODEL_PAGE))
		return RM_MEM_INVALID;
	if (!model_is_ram(m, ipa, size))
		m->host.panic(m->host.ctx, "an entry runs past the end of RAM (abi K.6)");
	return RM_OK;
}

static bool all_ours(const struct model *m, const struct sgl_entry *e)
{
	const uint8_t *owner = owner_of(m, e);

	for (uint32_t i = 0; i < e->n; i++) {
		if (owner[i])
			return false;
	}
	return true;
}

/* Append an entry to @p, and take its pages from the owner. */
static enum rm_status append_one(struct model *m, struct parcel *p, uint64_t ipa, uint64_t size)
{
	enum rm_status status = entry_check(m, ipa, size);
	uint32_t link = m->free_entry;
	struct sgl_entry *e = entry_at(m, link);
	struct sgl_entry want = { .page = (uint32_t)(ipa / MODEL_PAGE) };

	if (status != RM_OK)
		return status;
	want.n = (uint32_t)(size / MODEL_PAGE);
	if (!all_ours(m, &want))
		return RM_MEM_INVALID;
	if (!e || !heap_take(&m->heap, HEAP_ENTRY))
		return RM_NOMEM;
	m->free_entry = e->next;
	*e = want;
	status = entry_leave(m, p, e);
	if (status != RM_OK) {
		entry_return(m, e);
		entry_free(m, link);
		return status;
	}
	if (p->last)
		entry_at(m, p->last)->next = link;
	else
		p->first = link;
	p->last = link;
	p->n_entries++;
	p->size += size;
	return RM_OK;
}

/* Give back all entries after the one at @keep (0: all entries). */
static void cut(struct model *m, struct parcel *p, uint32_t keep, uint32_t n, uint64_t size)
{
	uint32_t link = keep ? entry_at(m, keep)->next : p->first;

	while (link) {
		struct sgl_entry *e = entry_at(m, link);
		uint32_t next = e->next;

		entry_return(m, e);
		entry_free(m, link);
		link = next;
	}
	if (keep)
		entry_at(m, keep)->next = 0;
	else
		p->first = 0;
	p->last = keep;
	p->n_entries = n;
	p->size = size;
}

enum rm_status parcel_append(struct model *m, struct parcel *p, struct ghvm_get *sgl,
			     unsigned int n)
{
	const uint32_t last = p->last, n_before = p->n_entries;
	const uint64_t size = p->size;
	enum rm_status status = RM_OK;

	if (!heap_fits_entries(&m->heap, n))
		return RM_NOMEM;
	for (unsigned int i = 0; i < n && status == RM_OK; i++) {
		uint64_t ipa = ghvm_get_u64(sgl);

		status = append_one(m, p, ipa, ghvm_get_u64(sgl));
	}
	if (status != RM_OK)
		cut(m, p, last, n_before, size);
	m->host.flush(m->host.ctx);
	return status;
}

void parcel_zero(struct model *m, const struct parcel *p)
{
	for (const struct sgl_entry *e = parcel_entries(m, p); e; e = parcel_next(m, e))
		entry_zero(m, e);
}

/* @give_back: the primary gets the pages back; else they are donated. */
void parcel_delete(struct model *m, struct parcel *p, bool give_back)
{
	if (give_back) {
		cut(m, p, 0, 0, 0);
		m->host.flush(m->host.ctx);
	}
	while (p->first) {
		uint32_t link = p->first;
		struct sgl_entry *e = entry_at(m, link);

		p->first = e->next;
		memset(owner_of(m, e), DONATED, e->n);
		m->donated_pages += e->n;
		entry_free(m, link);
	}
	heap_give(&m->heap, HEAP_PARCEL);
	p->used = false;
}

/* ---- guests ---- */

static void unmap_from(struct model *m, const struct parcel *p, const struct vm *vm,
		       const struct acl_entry *a)
{
	if (guest_of(m, vm)) {
		m->host.guest_unmap(m->host.ctx, (unsigned int)vm->slot, a->ipa, p->size);
		m->host.flush(m->host.ctx);
	}
}

enum rm_status parcel_accept(struct model *m, struct parcel *p, struct vm *vm, uint64_t ipa)
{
	struct acl_entry *a = parcel_acl(p, vm->vmid);
	uint64_t at = ipa;

	if (a->accepted || p->state == PARCEL_INIT || p->size > MODEL_IPA_END ||
	    ipa > MODEL_IPA_END - p->size)
		return RM_MEM_INVALID;
	a->ipa = ipa;
	for (const struct sgl_entry *e = parcel_entries(m, p); e; e = parcel_next(m, e)) {
		if (m->host.guest_map(m->host.ctx, (unsigned int)vm->slot, at, entry_pa(e),
				      entry_size(e), a->rights) < 0) {
			unmap_from(m, p, vm, a);
			return RM_MAP_FAILED;
		}
		at += entry_size(e);
	}
	a->accepted = true;
	p->state = PARCEL_SHARED;
	return RM_OK;
}

void parcel_release(struct model *m, struct parcel *p, struct vm *vm)
{
	struct acl_entry *a = parcel_acl(p, vm->vmid);
	bool shared = false;

	unmap_from(m, p, vm, a);
	a->accepted = false;
	for (unsigned int i = 0; i < p->n_acl; i++)
		shared |= p->acl[i].accepted;
	if (!shared)
		p->state = PARCEL_SHARING;
}

/* u32 handle, u16 vmid, u16 0, u32 tag: of MEM_RELEASED and of MEM_ACCEPTED */
void parcel_notify_owner(struct model *m, const struct parcel *p, const struct vm *vm, uint32_t id)
{
	uint8_t buf[12];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, p->handle);
	ghvm_put_u16(&w, vm->vmid);
	ghvm_put_zero(&w, 2);
	ghvm_put_u32(&w, p->tag);
	rpc_notify(m, p->owner, id, buf, w.len);
}

void parcel_release_all(struct model *m, struct vm *vm)
{
	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		struct parcel *p = &m->parcels[i];
		const struct acl_entry *a = p->used ? parcel_acl(p, vm->vmid) : NULL;

		if (!a || !a->accepted)
			continue;
		parcel_release(m, p, vm);
		parcel_notify_owner(m, p, vm, NOTIFY_MEM_RELEASED);
	}
}

/* ---- contents ---- */

/* Run by run through the parcel's bytes in [off, off + len). */
static int each_run(struct model *m, const struct parcel *p, uint64_t off, uint8_t *buf,
		    uint64_t len, bool in)
{
	const struct sgl_entry *e = parcel_entries(m, p);

	for (; e && off >= entry_size(e); e = parcel_next(m, e))
		off -= entry_size(e);
	for (; e && len; e = parcel_next(m, e)) {
		uint64_t n = entry_size(e) - off < len ? entry_size(e) - off : len;
		void *ram = m->host.ram(m->host.ctx, entry_pa(e) + off, n);

		if (!ram)
			return -1;
		if (in)
			memcpy(ram, buf, n);
		else
			memcpy(buf, ram, n);
		buf += n;
		len -= n;
		off = 0;
	}
	return len ? -1 : 0;
}

int parcel_copy_out(struct model *m, const struct parcel *p, uint64_t off, void *dst, uint64_t len)
{
	return each_run(m, p, off, dst, len, false);
}

int parcel_copy_in(struct model *m, const struct parcel *p, uint64_t off, const void *src,
		   uint64_t len)
{
	return each_run(m, p, off, (uint8_t *)(uintptr_t)src, len, true);
}

unsigned int model_page_owner(const struct model *m, uint64_t pa)
{
	uint8_t owner;

	if (!model_is_ram(m, pa, 1))
		return 0;
	owner = m->owner[(pa - m->config.ram_base) / MODEL_PAGE];
	if (!owner || owner == DONATED)
		return owner != 0;
	return m->parcels[owner - 1].trans == TRANS_SHARE ? 2 : 1;
}

bool model_page_rights(struct model *m, uint64_t pa, struct model_page_rights *ret)
{
	uint8_t owner =
		model_is_ram(m, pa, 1) ? m->owner[(pa - m->config.ram_base) / MODEL_PAGE] : 0;
	const struct parcel *p;

	if (!owner || owner == DONATED)
		return false;
	p = &m->parcels[owner - 1];
	*ret = (struct model_page_rights){};
	for (unsigned int i = 0; i < p->n_acl; i++) {
		if (p->acl[i].vmid == p->owner)
			ret->primary = p->acl[i].rights;
		else
			ret->guest |= p->acl[i].rights;
	}
	return true;
}
