/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accounts of the resource manager's resources that the VMs of a host use.
 */
#include "libghvm/memory/ledger-internal.h"

#include "libghvm/base/rm-abi.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

void ghvm_ledger_set_quirks(struct ghvm_ledger *l, const struct ghvm_quirks *quirks)
{
	assert(ghvm_quirk(quirks, GHVM_QUIRK_PARCELS) <= GHVM_LEDGER_PARCELS);
	assert(ghvm_quirk(quirks, GHVM_QUIRK_VMID_LAST) < GHVM_LEDGER_VMIDS);
	l->quirks = quirks;
}

void ghvm_ledger_init(struct ghvm_ledger *l, const struct ghvm_quirks *quirks)
{
	*l = (struct ghvm_ledger){};
	ghvm_ledger_set_quirks(l, quirks);
	(void)pthread_mutex_init(&l->numbering, NULL); /* cannot fail with default attributes */
	(void)pthread_mutex_init(&l->lock, NULL);
}

void ghvm_ledger_done(struct ghvm_ledger *l)
{
	(void)pthread_mutex_destroy(&l->lock); /* not in use any more */
	(void)pthread_mutex_destroy(&l->numbering);
}

void ghvm_ledger_numbering_begin(struct ghvm_ledger *l)
{
	(void)pthread_mutex_lock(&l->numbering); /* cannot fail */
}

void ghvm_ledger_numbering_end(struct ghvm_ledger *l)
{
	(void)pthread_mutex_unlock(&l->numbering);
}

/*@ requires \valid_read(a) && \valid_read(b); assigns \nothing; */
static bool same_parcel(const struct ghvm_ledger_parcel *a, const struct ghvm_ledger_parcel *b)
{
	return a->vmid.id == b->vmid.id && a->incarnation == b->incarnation && a->label == b->label;
}

/* Note the newest handle. RM counts, and may wrap. Called with the lock. */
static void note_handle(struct ghvm_ledger *l, struct ghvm_parcel_handle handle)
{
	if (handle.id == GHVM_PARCEL_NONE)
		return;
	if (!l->seen || (int32_t)(handle.id - l->last.id) > 0)
		l->last = handle;
	l->seen = true;
}

/* The abandoned entry of the same parcel, or a free one, or -1. Called with the lock. */
/*@
  requires \valid_read(l) && \valid_read(p);
  assigns \nothing;
  ensures -1 <= \result < GHVM_LEDGER_PARCELS;
  ensures \result >= 0 ==> !(l->parcels[\result].used && l->parcels[\result].owned);
  ensures \result < 0 ==> \forall integer i; 0 <= i < GHVM_LEDGER_PARCELS ==> l->parcels[i].used;
*/
static int find_entry(const struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p)
{
	int unused = -1;

	/*@
	  loop invariant 0 <= i <= GHVM_LEDGER_PARCELS && -1 <= unused < i;
	  loop invariant unused >= 0 ==> !l->parcels[unused].used;
	  loop invariant unused < 0 ==> \forall integer j; 0 <= j < i ==> l->parcels[j].used;
	  loop assigns i, unused;
	  loop variant GHVM_LEDGER_PARCELS - i;
	*/
	for (int i = 0; i < GHVM_LEDGER_PARCELS; i++) {
		const struct ghvm_ledger_parcel *e = &l->parcels[i];

		if (e->used && !e->owned && same_parcel(e, p))
			return i;
		if (!e->used && unused < 0)
			unused = i;
	}
	return unused;
}

/* Adopted parcels may have exceeded the limit already. */
/*@
  assigns \nothing;
  ensures \result <==> used + more <= limit;
*/
static bool fits_limit(uint64_t limit, uint64_t used, uint64_t more)
{
	return more <= limit && used <= limit - more;
}

/* A VM is charged with its RAM. */
static uint64_t weight_of(const struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p)
{
	return p->entries + (p->label ? 0 : ghvm_quirk(l->quirks, GHVM_QUIRK_VM_ENTRIES));
}

static int too_scattered(const struct ghvm_ledger_parcel *p, uint64_t weight, uint64_t limit,
			 uint64_t used, const char *name, struct ghvm_error *err)
{
	return ghvm_error_set(err, -E2BIG,
			      "%s: memory is too scattered: in %" PRIu64 " pieces it needs %" PRIu64
			      " of the resource manager's %" PRIu64
			      " entries, of which others use %" PRIu64
			      ": stop other VMs and programs and try again, use "
			      "memory.hugepages: 2M or 1G, or less memory",
			      name, p->entries, weight, limit, used);
}

/* @exists: RM has the parcel already, so limits do not apply. Called with the lock. */
static int charge_parcel(struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p, bool exists,
			 const char *name, unsigned int *ret, struct ghvm_error *err)
{
	const uint64_t limit = ghvm_quirk(l->quirks, GHVM_QUIRK_ENTRIES);
	const uint64_t parcels = ghvm_quirk(l->quirks, GHVM_QUIRK_PARCELS);
	const uint64_t weight = weight_of(l, p);
	int i = find_entry(l, p);
	struct ghvm_ledger_parcel *e;
	uint64_t before;

	if (i < 0 || (!exists && !l->parcels[i].used && l->n_parcels >= parcels))
		return ghvm_error_set(err, -ENOSPC,
				      "%s: the host has its %" PRIu64 " memory parcels already",
				      name, parcels);
	e = &l->parcels[i];
	before = e->used ? e->entries : 0;
	if (!exists && !fits_limit(limit, l->used - before, weight))
		return too_scattered(p, weight, limit, l->used - before, name, err);

	l->used = l->used - before + weight;
	l->n_parcels += !e->used;
	*e = *p;
	e->entries = weight;
	e->used = true;
	e->owned = true;
	*ret = (unsigned int)i;
	return 0;
}

int ghvm_ledger_take(struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p, const char *name,
		     unsigned int *ret, struct ghvm_error *err)
{
	int r;

	lock(l);
	r = charge_parcel(l, p, false, name, ret, err);
	unlock(l);
	return r;
}

/* Called with the lock. */
static bool named_by_another(const struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p)
{
	for (size_t i = 0; i < GHVM_LEDGER_PARCELS; i++) {
		const struct ghvm_ledger_parcel *e = &l->parcels[i];

		if (e->used && e->handle.id == p->handle.id && (e->owned || !same_parcel(e, p)))
			return true;
	}
	return false;
}

/* Called with the lock. */
static bool has_parcel(const struct ghvm_ledger *l, unsigned int vmid)
{
	for (size_t i = 0; i < GHVM_LEDGER_PARCELS; i++)
		if (l->parcels[i].used && l->parcels[i].vmid.id == vmid)
			return true;
	return false;
}

/* The machine of a VMID is adopted with its first parcel. Called with the lock. */
static void find_pair(struct ghvm_ledger *l, struct ghvm_ledger_parcel *p)
{
	if (p->with.id)
		p->pair = has_parcel(l, p->with.id) ? GHVM_LEDGER_JOINED : GHVM_LEDGER_RESERVED;
	for (size_t i = 0; p->vmid.id && i < GHVM_LEDGER_PARCELS; i++) {
		struct ghvm_ledger_parcel *e = &l->parcels[i];

		if (e->used && e->pair == GHVM_LEDGER_RESERVED && e->with.id == p->vmid.id)
			e->pair = GHVM_LEDGER_JOINED;
	}
}

int ghvm_ledger_adopt(struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p, const char *name,
		      unsigned int *ret, struct ghvm_error *err)
{
	int r;

	lock(l);
	if (p->handle.id != GHVM_PARCEL_NONE && named_by_another(l, p)) {
		unlock(l);
		return ghvm_error_set(err, -EINVAL, "%s: handle %" PRIu32 " is another parcel's",
				      name, p->handle.id);
	}
	r = charge_parcel(l, p, true, name, ret, err);
	if (r == 0)
		find_pair(l, &l->parcels[*ret]);
	if (r == 0 && p->sure)
		note_handle(l, p->handle);
	unlock(l);
	return r;
}

/* Another VM can be stopped only if there is one. */
static const char *stop_advice(uint64_t used)
{
	return used ? "stop one of them, or " : "";
}

int ghvm_ledger_check(struct ghvm_ledger *l, uint64_t entries, unsigned int parcels,
		      const char *remedy, struct ghvm_error *err)
{
	const uint64_t weight = entries + ghvm_quirk(l->quirks, GHVM_QUIRK_VM_ENTRIES);
	const uint64_t limit = ghvm_quirk(l->quirks, GHVM_QUIRK_ENTRIES);
	const uint64_t most = ghvm_quirk(l->quirks, GHVM_QUIRK_PARCELS);
	int r = 0;

	lock(l);
	if (!fits_limit(limit, l->used, weight))
		r = ghvm_error_set(err, weight > limit ? -EDQUOT : -E2BIG,
				   "memory: needs at least %" PRIu64 " of the resource manager's "
				   "%" PRIu64 " entries, of which others use %" PRIu64 ": %s%s",
				   weight, limit, l->used, stop_advice(l->used), remedy);
	else if (!fits_limit(most, l->n_parcels, parcels))
		r = ghvm_error_set(err, parcels > most ? -EDQUOT : -E2BIG,
				   "memory: needs %u of the host's %" PRIu64
				   " memory parcels, of which others use %u: %shave fewer regions",
				   parcels, most, l->n_parcels, stop_advice(l->n_parcels));
	unlock(l);
	return r;
}

void ghvm_ledger_give(struct ghvm_ledger *l, unsigned int entry)
{
	struct ghvm_ledger_parcel *e;

	lock(l);
	e = held_entry(l, entry);
	l->used -= e->entries;
	l->n_parcels--;
	*e = (struct ghvm_ledger_parcel){};
	unlock(l);
}

void ghvm_ledger_abandon(struct ghvm_ledger *l, unsigned int entry)
{
	lock(l);
	held_entry(l, entry)->owned = false;
	unlock(l);
}

void ghvm_ledger_promise(struct ghvm_ledger *l, unsigned int entry, struct ghvm_vmid vmid,
			 uint64_t incarnation)
{
	struct ghvm_ledger_parcel *e;

	lock(l);
	e = held_entry(l, entry);
	e->vmid = vmid;
	e->incarnation = incarnation;
	unlock(l);
}

static bool has_handle(const struct ghvm_ledger_parcel *e, struct ghvm_parcel_handle handle)
{
	return e->used && e->handle.id == handle.id && handle.id != GHVM_PARCEL_NONE;
}

bool ghvm_ledger_claim(struct ghvm_ledger *l, unsigned int entry, struct ghvm_parcel_handle handle)
{
	struct ghvm_ledger_parcel *mine;
	bool alone = true;

	lock(l);
	mine = held_entry(l, entry);
	for (size_t i = 0; i < GHVM_LEDGER_PARCELS; i++) {
		struct ghvm_ledger_parcel *e = &l->parcels[i];

		if (e == mine || !has_handle(e, handle))
			continue;
		alone = false;
		e->disputed |= !e->sure;
	}
	mine->handle.id = alone ? handle.id : GHVM_PARCEL_NONE;
	mine->sure = mine->disputed = false;
	unlock(l);
	return alone;
}

bool ghvm_ledger_confirm(struct ghvm_ledger *l, unsigned int entry, bool by_content)
{
	struct ghvm_ledger_parcel *e;

	lock(l);
	e = held_entry(l, entry);
	if (by_content)
		e->disputed = false;
	e->sure = !e->disputed;
	if (e->sure)
		note_handle(l, e->handle);
	unlock(l);
	return e->sure;
}

void ghvm_ledger_unname(struct ghvm_ledger *l, unsigned int entry)
{
	struct ghvm_ledger_parcel *e;

	lock(l);
	e = held_entry(l, entry);
	e->handle.id = GHVM_PARCEL_NONE;
	e->sure = e->disputed = false;
	unlock(l);
}

void ghvm_ledger_dispute(struct ghvm_ledger *l, struct ghvm_parcel_handle handle)
{
	lock(l);
	for (size_t i = 0; i < GHVM_LEDGER_PARCELS; i++)
		if (has_handle(&l->parcels[i], handle) && !l->parcels[i].sure)
			l->parcels[i].disputed = true;
	unlock(l);
}

bool ghvm_ledger_doubted(struct ghvm_ledger *l, unsigned int entry)
{
	const struct ghvm_ledger_parcel *mine;
	bool doubted;

	lock(l);
	mine = held_entry(l, entry);
	doubted = mine->disputed;
	for (size_t i = 0; i < GHVM_LEDGER_PARCELS; i++) {
		const struct ghvm_ledger_parcel *e = &l->parcels[i];

		if (e != mine && e->used && e->vmid.id && e->handle.id == GHVM_PARCEL_NONE)
			doubted = true;
	}
	unlock(l);
	return doubted;
}

bool ghvm_ledger_others_sure(struct ghvm_ledger *l, unsigned int entry)
{
	const struct ghvm_ledger_parcel *mine;
	bool sure = true;

	lock(l);
	mine = held_entry(l, entry);
	for (size_t i = 0; i < GHVM_LEDGER_PARCELS; i++) {
		const struct ghvm_ledger_parcel *e = &l->parcels[i];

		if (e != mine && e->used && e->vmid.id && !e->sure)
			sure = false;
	}
	unlock(l);
	return sure;
}

enum ghvm_ledger_naming ghvm_ledger_naming(struct ghvm_ledger *l, struct ghvm_parcel_handle handle)
{
	enum ghvm_ledger_naming naming = GHVM_LEDGER_FREE;

	lock(l);
	for (size_t i = 0; i < GHVM_LEDGER_PARCELS; i++) {
		const struct ghvm_ledger_parcel *e = &l->parcels[i];

		if (has_handle(e, handle) && naming != GHVM_LEDGER_SURE)
			naming = e->sure ? GHVM_LEDGER_SURE : GHVM_LEDGER_CLAIMED;
	}
	unlock(l);
	return naming;
}

int ghvm_ledger_last(struct ghvm_ledger *l, struct ghvm_parcel_handle *ret)
{
	bool seen;

	lock(l);
	seen = l->seen;
	if (seen)
		*ret = l->last;
	unlock(l);
	return seen;
}

/* NULL: no guest has this VMID. Called with the lock. */
static struct ghvm_ledger_vmid *find_vmid(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	return ghvm_vmid_is_guest(vmid) ? &l->vmids[vmid.id] : NULL;
}

void ghvm_ledger_vmids(const struct ghvm_ledger *l, struct ghvm_vmid *ret_first,
		       struct ghvm_vmid *ret_last)
{
	ret_first->id = (uint16_t)ghvm_quirk(l->quirks, GHVM_QUIRK_VMID_FIRST);
	ret_last->id = (uint16_t)ghvm_quirk(l->quirks, GHVM_QUIRK_VMID_LAST);
}

bool ghvm_ledger_vmid_usual(const struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	struct ghvm_vmid first, last;

	ghvm_ledger_vmids(l, &first, &last);
	return vmid.id >= first.id && vmid.id <= last.id;
}

bool ghvm_ledger_vmid_claim(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	struct ghvm_ledger_vmid *v;
	bool unused;

	lock(l);
	v = find_vmid(l, vmid);
	unused = v && !v->used;
	if (v)
		v->used = true;
	unlock(l);
	if (unused && l->on_vmid)
		l->on_vmid(l->on_vmid_data, vmid, true);
	return unused;
}

/* What is known of @vmid: nothing if no guest can have it. */
static struct ghvm_ledger_vmid look_up(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	struct ghvm_ledger_vmid copy = {};
	const struct ghvm_ledger_vmid *v;

	lock(l);
	v = find_vmid(l, vmid);
	if (v)
		copy = *v;
	unlock(l);
	return copy;
}

/* Add or remove what @flags has. */
static void set_flags(struct ghvm_ledger *l, struct ghvm_vmid vmid, struct ghvm_ledger_vmid flags,
		      bool value)
{
	struct ghvm_ledger_vmid *v;

	lock(l);
	v = find_vmid(l, vmid);
	if (v && flags.used)
		v->used = value;
	if (v && flags.stuck)
		v->stuck = value;
	if (v && flags.noted)
		v->noted = value;
	unlock(l);
}

void ghvm_ledger_vmid_add(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	set_flags(l, vmid, (struct ghvm_ledger_vmid){ .used = true }, true);
}

void ghvm_ledger_vmid_remove(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	set_flags(l, vmid, (struct ghvm_ledger_vmid){ .used = true }, false);
	if (l->on_vmid)
		l->on_vmid(l->on_vmid_data, vmid, false);
}

void ghvm_ledger_watch_vmids(struct ghvm_ledger *l, ghvm_ledger_vmid_fn on_vmid, void *data)
{
	l->on_vmid = on_vmid;
	l->on_vmid_data = data;
}

void ghvm_ledger_vmid_note(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	set_flags(l, vmid, (struct ghvm_ledger_vmid){ .noted = true }, true);
}

bool ghvm_ledger_vmid_noted(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	return look_up(l, vmid).noted;
}

void ghvm_ledger_vmid_stuck(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	set_flags(l, vmid, (struct ghvm_ledger_vmid){ .stuck = true }, true);
}

bool ghvm_ledger_vmid_known(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	return look_up(l, vmid).used;
}

/* Called with the lock. */
static bool is_second(const struct ghvm_ledger *l, unsigned int vmid)
{
	for (size_t i = 0; i < GHVM_LEDGER_PARCELS; i++)
		if (l->parcels[i].used && vmid && l->parcels[i].with.id == vmid)
			return true;
	return false;
}

bool ghvm_ledger_vmids_shown(struct ghvm_ledger *l)
{
	bool all;

	lock(l);
	all = !l->distrusted;
	for (unsigned int i = 0; i < GHVM_LEDGER_VMIDS; i++)
		if (l->vmids[i].stuck ||
		    (l->vmids[i].used && !has_parcel(l, i) && !is_second(l, i)))
			all = false;
	unlock(l);
	return all;
}

void ghvm_ledger_distrust(struct ghvm_ledger *l)
{
	lock(l);
	l->distrusted = true;
	unlock(l);
}

bool ghvm_ledger_distrusted(struct ghvm_ledger *l)
{
	bool distrusted;

	lock(l);
	distrusted = l->distrusted;
	unlock(l);
	return distrusted;
}

void ghvm_ledger_figures(struct ghvm_ledger *l, struct ghvm_ledger_figures *ret)
{
	lock(l);
	*ret = (struct ghvm_ledger_figures){
		.entries_limit = ghvm_quirk(l->quirks, GHVM_QUIRK_ENTRIES),
		.entries = l->used,
		.parcels = l->n_parcels,
	};
	for (unsigned int i = 0; i < GHVM_LEDGER_VMIDS; i++) {
		ret->vmids += l->vmids[i].used;
		ret->stuck += l->vmids[i].stuck;
	}
	unlock(l);
}
