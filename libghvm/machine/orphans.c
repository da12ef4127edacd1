/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The quarantine as a list of orphans: guarded pins of dead processes, with what their tags say.
 *
 * The tags name the owner of the pages. Tags that contradict each other are not trusted.
 */
#include "libghvm/machine/internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/machine/orphans.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_STEP 32

static int compare_orphans(const void *a, const void *b)
{
	const struct ghvm_orphan *x = a, *y = b;

	if (x->readable != y->readable)
		return x->readable ? -1 : 1;
	if (x->tag.vmid.id != y->tag.vmid.id)
		return x->tag.vmid.id < y->tag.vmid.id ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int append_entries(struct ghvm_orphan **v, size_t *n,
			  const struct ghvm_quarantine_entry *entries, size_t count)
{
	struct ghvm_orphan *bigger = reallocarray(*v, *n + count, sizeof(**v));

	if (!bigger)
		return -ENOMEM;
	*v = bigger;
	for (size_t i = 0; i < count; i++) {
		struct ghvm_orphan *o = &bigger[(*n)++];

		*o = (struct ghvm_orphan){ .id = entries[i].id,
					   .pages = entries[i].length / GHVM_PAGE };
		o->readable = ghvm_tag_decode(entries[i].tag, &o->tag) == 0;
		o->flaw = o->readable ? NULL : "has no readable tag";
	}
	return 0;
}

bool ghvm_orphans_same_life(const struct ghvm_tag *a, const struct ghvm_tag *b)
{
	return a->vmid.id == b->vmid.id && a->incarnation == b->incarnation &&
	       !strncmp(a->name, b->name, sizeof(a->name));
}

static bool is_sure(const struct ghvm_tag *t)
{
	return t->flags & GHVM_TAG_SURE;
}

static bool same_handle(const struct ghvm_tag *a, const struct ghvm_tag *b)
{
	return a->handle.id != GHVM_PARCEL_NONE && a->handle.id == b->handle.id;
}

/* Is it of the region with that label of that VM? Each probe has the same label. */
static bool covers(const struct ghvm_tag *t, struct ghvm_vmid vmid, uint32_t label)
{
	return vmid.id && t->label == label && label != GHVM_LABEL_PROBE &&
	       (t->vmid.id == vmid.id || t->with.id == vmid.id);
}

const char *ghvm_orphans_contradiction(const struct ghvm_tag *a, const struct ghvm_tag *b)
{
	if (same_handle(a, b) && is_sure(a) && is_sure(b))
		return "has a tag with the handle of another parcel";
	if (a->vmid.id == b->vmid.id && !ghvm_orphans_same_life(a, b))
		return "has a tag with the VMID of another run";
	if (covers(a, b->vmid, b->label) || covers(a, b->with, b->label))
		return "has a tag with the label of another region";
	return NULL;
}

/* It is unknown which of two contradicting tags is wrong: trust neither. */
static void find_contradictions(struct ghvm_orphan *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++) {
			const char *flaw = NULL;

			if (v[i].tag.kind && v[k].tag.kind) /* both are intact */
				flaw = ghvm_orphans_contradiction(&v[i].tag, &v[k].tag);
			if (!flaw)
				continue;
			v[i].flaw = v[k].flaw = flaw;
			v[i].readable = v[k].readable = false;
		}
}

/* RM has reported the same handle for two parcels: drop it from tags that are not sure. */
static void find_disputes(struct ghvm_orphan *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			if (k != i && v[i].tag.kind && v[k].tag.kind && !is_sure(&v[i].tag) &&
			    same_handle(&v[i].tag, &v[k].tag))
				v[i].disputed = true;
	for (size_t i = 0; i < n; i++)
		if (v[i].disputed)
			v[i].tag.handle.id = GHVM_PARCEL_NONE; /* the parcel is LOST */
}

int ghvm_orphans_list(struct ghvm_host *host, struct ghvm_orphan **ret, size_t *ret_n,
		      struct ghvm_error *err)
{
	struct ghvm_quarantine_entry entries[LIST_STEP];
	_cleanup_(freep) struct ghvm_orphan *v = NULL;
	uint64_t after = 0;
	size_t n = 0;
	int r;

	for (;;) {
		r = host->ops->quarantine_list(host, after, entries, LIST_STEP);
		if (r == 0)
			break;
		if (r > LIST_STEP || (r > 0 && entries[r - 1].id <= after))
			r = -EBADMSG;
		if (r > 0) {
			after = entries[r - 1].id;
			r = append_entries(&v, &n, entries, (size_t)r);
		}
		if (r < 0)
			return ghvm_error_set(err, r, "cannot list the quarantine: %s",
					      strerror(-r));
	}
	find_contradictions(v, n);
	find_disputes(v, n);
	if (n)
		qsort(v, n, sizeof(*v), compare_orphans);
	*ret = TAKE_PTR(v);
	*ret_n = n;
	return 0;
}
