/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine's map of regions, and the regions added at run time.
 *
 * Parcels belong to the operation thread, which may change them while other threads read. What
 * notifications and status queries need is kept separately, under the machine's lock.
 */
#include "libghvm/machine/internal.h"
#include "ghvm/transaction.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/rpc.h"

#include <errno.h>
#include <string.h>

#define REGIONS_MAX (GHVM_PLAN_PARCELS_MAX + GHVM_LEDGER_PARCELS)

static void lock(struct ghvm_machine *m)
{
	(void)pthread_mutex_lock(&m->lock); /* cannot fail */
}

static void unlock(struct ghvm_machine *m)
{
	(void)pthread_mutex_unlock(&m->lock);
}

static size_t count_planned(const struct ghvm_machine *m)
{
	return m->plan ? m->plan->n_parcels : m->n_parcels;
}

/* Called with the lock. */
static struct ghvm_machine_added *find_added(struct ghvm_machine *m, uint32_t label)
{
	for (size_t i = 0; i < m->n_added; i++)
		if (m->added[i].label == label)
			return &m->added[i];
	return NULL;
}

static void append_added(struct ghvm_machine *m, const struct ghvm_machine_added *a)
{
	lock(m);
	m->added[m->n_added++] = *a;
	unlock(m);
}

/* ---- the map ---- */

static int put_in_map(struct ghvm_machine *m, const struct ghvm_parcel *p, uint64_t size,
		      struct ghvm_error *err)
{
	const struct ghvm_region_request q = {
		.ipa = p->config.ipa,
		.size = size,
		.label = p->config.label,
		.kind = p->config.lend ? GHVM_REGION_LENT : GHVM_REGION_SHARED,
		.readonly = p->config.rights == GHVM_MEM_R,
	};
	int r = ghvm_region_add_begin(m->map, &q, err);

	if (r == 0)
		ghvm_region_add_end(m->map, q.label);
	return r;
}

int ghvm_machine_map_fill(struct ghvm_machine *m, struct ghvm_error *err)
{
	int first = 0;

	for (size_t i = 0; i < m->n_parcels; i++) {
		const struct ghvm_parcel *p = &m->parcels[i];
		const struct ghvm_machine_added a = { .label = p->config.label,
						      .handle = p->handle,
						      .memfd = -1 };
		int r;

		if ((p->state == GHVM_PARCEL_UNPINNED && !ghvm_machine_joined(m, i)) ||
		    p->config.label == GHVM_LABEL_PROBE)
			continue;
		r = put_in_map(m, p, ghvm_machine_joined(m, i) ? m->plan->parcels[i].size : p->size,
			       first == 0 ? err : NULL);
		if (r == 0 && i >= count_planned(m))
			append_added(m, &a);
		first = first == 0 ? r : first;
	}
	return first;
}

static void remove_from_map(struct ghvm_machine *m, const struct ghvm_region *r)
{
	switch (r->state) {
	case GHVM_REGION_RESERVED:
		ghvm_region_add_cancel(m->map, r->label);
		break;
	case GHVM_REGION_MAPPED:
		if (ghvm_region_remove_begin(m->map, r->label, NULL, NULL) < 0)
			break; /* no other removal can have begun */
		__attribute__((fallthrough));
	case GHVM_REGION_REMOVING:
		ghvm_region_remove_end(m->map, r->label);
		break;
	}
}

static void unmap_label(struct ghvm_machine *m, uint32_t label)
{
	struct ghvm_region v[REGIONS_MAX];
	size_t n = ghvm_region_list(m->map, v, ARRAY_SIZE(v));

	for (size_t i = 0; i < n; i++)
		if (v[i].label == label)
			remove_from_map(m, &v[i]);
}

void ghvm_machine_map_clear(struct ghvm_machine *m)
{
	struct ghvm_region v[REGIONS_MAX];
	size_t n = ghvm_region_list(m->map, v, ARRAY_SIZE(v));

	for (size_t i = 0; i < n; i++)
		remove_from_map(m, &v[i]);
	while (m->n_parcels > count_planned(m))
		ghvm_parcel_done(&m->parcels[--m->n_parcels]);
	lock(m);
	while (m->n_added)
		closep(&m->added[--m->n_added].memfd);
	unlock(m);
}

/* regions added at run time */

struct ghvm_parcel *ghvm_machine_added_parcel(struct ghvm_machine *m, uint32_t label)
{
	for (size_t i = count_planned(m); i < m->n_parcels; i++)
		if (m->parcels[i].config.label == label)
			return &m->parcels[i];
	return NULL;
}

struct ghvm_parcel *ghvm_machine_added_new(struct ghvm_machine *m,
					   const struct ghvm_parcel_config *config, int memfd)
{
	const struct ghvm_machine_added a = { .label = config->label,
					      .handle = { GHVM_PARCEL_NONE },
					      .memfd = memfd };
	struct ghvm_parcel *p = &m->parcels[m->n_parcels];

	if (m->n_parcels >= count_planned(m) + GHVM_LEDGER_PARCELS ||
	    m->n_added >= ARRAY_SIZE(m->added))
		return NULL;
	ghvm_parcel_init(p, m->host, m->rm, m->ledger, config);
	m->n_parcels++;
	append_added(m, &a);
	return p;
}

void ghvm_machine_added_name(struct ghvm_machine *m, uint32_t label,
			     struct ghvm_parcel_handle handle)
{
	struct ghvm_machine_added *a;

	lock(m);
	a = find_added(m, label);
	if (a) {
		a->handle = handle;
		a->accepted = false;
	}
	unlock(m);
}

bool ghvm_machine_added_accepted(struct ghvm_machine *m, uint32_t label)
{
	const struct ghvm_machine_added *a;
	bool accepted;

	lock(m);
	a = find_added(m, label);
	accepted = a && a->accepted;
	unlock(m);
	return accepted;
}

void ghvm_machine_forget(struct ghvm_machine *m, struct ghvm_parcel *p)
{
	const uint32_t label = p->config.label;
	struct ghvm_machine_added *a;

	ghvm_parcel_done(p);
	*p = m->parcels[--m->n_parcels];
	lock(m);
	a = find_added(m, label);
	if (a) {
		closep(&a->memfd);
		*a = m->added[--m->n_added];
	}
	unlock(m);
	unmap_label(m, label);
}

/*
 * Matched by handle, as handles are not reused. A VMID is reused, but its parcels are then those
 * of another VM.
 */
bool ghvm_machine_take_memory(struct ghvm_machine *m, const struct ghvm_rm_notification *n)
{
	struct ghvm_rm_mem_event e;
	bool mine;

	if (ghvm_rm_mem_decode_event(n, &e) < 0)
		return false;
	lock(m);
	mine = m->vmid.id && m->vmid.id == e.vmid.id;
	for (size_t i = 0; mine && i < m->n_added; i++)
		if (m->added[i].handle.id == e.handle.id)
			m->added[i].accepted = e.accepted;
	if (mine) {
		m->news++;
		(void)pthread_cond_broadcast(&m->cond); /* cannot fail */
	}
	unlock(m);
	return mine;
}

/* for status queries */

static struct ghvm_machine_region describe_region(struct ghvm_machine *m,
						  const struct ghvm_region *r)
{
	const struct ghvm_machine_added *a = find_added(m, r->label);

	return (struct ghvm_machine_region){
		.label = r->label,
		.ipa = r->first,
		.size = r->last - r->first + 1,
		.lent = r->kind == GHVM_REGION_LENT,
		.readonly = r->readonly,
		.added = a,
		.accepted = !a || a->accepted,
		.removing = r->state == GHVM_REGION_REMOVING,
	};
}

size_t ghvm_machine_regions(struct ghvm_machine *m, struct ghvm_machine_region *ret, size_t max)
{
	struct ghvm_region v[REGIONS_MAX];
	size_t n, found = 0;

	lock(m);
	n = ghvm_region_list(m->map, v, ARRAY_SIZE(v));
	for (size_t i = 0; i < n && found < max; i++)
		if (v[i].state != GHVM_REGION_RESERVED)
			ret[found++] = describe_region(m, &v[i]);
	unlock(m);
	return found;
}
