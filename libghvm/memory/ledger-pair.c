/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parcels of two guests: which of them may have the pages, and what the second VMID belongs to.
 */
#include "libghvm/memory/ledger-internal.h"

void ghvm_ledger_pair(struct ghvm_ledger *l, unsigned int entry, struct ghvm_vmid with)
{
	struct ghvm_ledger_parcel *e;

	lock(l);
	e = held_entry(l, entry);
	e->with = with;
	e->pair = GHVM_LEDGER_RESERVED;
	e->closed = false;
	unlock(l);
}

/* The next entry after @after (NULL: the first) that names @with, or NULL. Called with the lock. */
static struct ghvm_ledger_parcel *next_pair(struct ghvm_ledger *l, struct ghvm_vmid with,
					    const struct ghvm_ledger_parcel *after)
{
	for (size_t i = after ? (size_t)(after - l->parcels) + 1 : 0; i < GHVM_LEDGER_PARCELS;
	     i++) {
		struct ghvm_ledger_parcel *e = &l->parcels[i];

		if (e->used && e->pair != GHVM_LEDGER_ALONE && e->with.id == with.id)
			return e;
	}
	return NULL;
}

/* Return: whether a parcel names @with. Called with the lock. */
static bool set_pairs(struct ghvm_ledger *l, struct ghvm_vmid with, enum ghvm_ledger_pair pair)
{
	struct ghvm_ledger_parcel *e = NULL;
	bool any = false;

	while ((e = next_pair(l, with, e))) {
		e->pair = pair;
		any = true;
	}
	return any;
}

bool ghvm_ledger_pair_join(struct ghvm_ledger *l, struct ghvm_vmid with, uint64_t incarnation)
{
	const struct ghvm_ledger_parcel *e = NULL;
	bool joined = true;

	lock(l);
	while ((e = next_pair(l, with, e)))
		if (e->pair != GHVM_LEDGER_RESERVED || e->incarnation != incarnation)
			joined = false;
	if (joined)
		joined = set_pairs(l, with, GHVM_LEDGER_JOINED);
	unlock(l);
	return joined;
}

void ghvm_ledger_pair_leave(struct ghvm_ledger *l, struct ghvm_vmid with)
{
	lock(l);
	(void)set_pairs(l, with, GHVM_LEDGER_LEFT); /* most VMs have no such parcel */
	unlock(l);
}

bool ghvm_ledger_pair_return(struct ghvm_ledger *l, struct ghvm_vmid with, bool unused)
{
	const struct ghvm_ledger_parcel *e = NULL;
	bool any;

	lock(l);
	while ((e = next_pair(l, with, e)))
		unused = unused && !e->closed;
	any = set_pairs(l, with, unused ? GHVM_LEDGER_RESERVED : GHVM_LEDGER_SPENT);
	unlock(l);
	return any;
}

bool ghvm_ledger_pair_close(struct ghvm_ledger *l, unsigned int entry)
{
	struct ghvm_ledger_parcel *e;
	bool joined;

	lock(l);
	e = held_entry(l, entry);
	joined = e->pair == GHVM_LEDGER_JOINED;
	e->closed = !joined;
	if (e->pair == GHVM_LEDGER_RESERVED)
		e->pair = GHVM_LEDGER_SPENT;
	unlock(l);
	return !joined;
}

/* Called with the lock. */
static void drop_pair(struct ghvm_ledger_parcel *e)
{
	e->with.id = 0;
	e->pair = GHVM_LEDGER_ALONE;
	e->closed = false;
}

bool ghvm_ledger_pair_end(struct ghvm_ledger *l, unsigned int entry)
{
	struct ghvm_ledger_parcel *e;
	bool last;

	lock(l);
	e = held_entry(l, entry);
	last = e->pair == GHVM_LEDGER_SPENT && next_pair(l, e->with, NULL) == e &&
	       !next_pair(l, e->with, e);
	if (!last)
		drop_pair(e);
	unlock(l);
	return last;
}

void ghvm_ledger_pair_drop(struct ghvm_ledger *l, unsigned int entry)
{
	lock(l);
	drop_pair(held_entry(l, entry));
	unlock(l);
}

enum ghvm_ledger_pair ghvm_ledger_pair_of(struct ghvm_ledger *l, struct ghvm_vmid with)
{
	const struct ghvm_ledger_parcel *e;
	enum ghvm_ledger_pair pair;

	lock(l);
	e = next_pair(l, with, NULL);
	pair = e ? e->pair : GHVM_LEDGER_ALONE;
	unlock(l);
	return pair;
}
