/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks each request of each test on this host for what no client may send to RM.
 */
#include "tests/fakes/rm-internal.h"

#include "libghvm/base/rm-abi.h"
#include "libghvm/memory/tag.h"
#include "libghvm/base/wire.h"
#include "tests/model/core/core.h"

#define ENTRIES_MAX 64 /* with more RM may not answer instead of refusing, abi K.2 */
#define RECLAIM_SANITISE 1
#define PROBE_LABEL 0xfffffffeU /* a probe's page has no contents */

/* The pin that has the first page of a parcel, or NULL. */
static const struct fake_pin *pin_of(const struct fake_rm *f, const struct parcel *p)
{
	const struct sgl_entry *e = parcel_entries(f->model, p);

	for (size_t i = 0; e && i < FAKE_RM_PINS_MAX; i++)
		if (f->pins[i].used && f->pins[i].n_extents &&
		    f->pins[i].extents[0].pa == e->page * MODEL_PAGE)
			return &f->pins[i];
	return NULL;
}

/*
 * Lent memory must be sanitised when reclaimed. Shared memory must keep its contents, unless it
 * is one of several lost parcels. A presplit SHARE of memory to be lent is neither.
 */
static void watch_reclaim(struct fake_rm *f, struct ghvm_get *g)
{
	const struct parcel *p = parcel_find(f->model, ghvm_get_u32(g));
	bool sanitise = ghvm_get_u8(g) & RECLAIM_SANITISE;
	const struct fake_pin *pin = p ? pin_of(f, p) : NULL;
	struct ghvm_tag tag;

	if (!pin || ghvm_tag_decode(pin->tag, &tag) < 0)
		return;
	if (p->trans == TRANS_LEND && !sanitise)
		fake_rm_die("lent memory is reclaimed with what the guest left in it", p->handle);
	if (tag.kind == GHVM_TAG_SHARED && sanitise && p->label != PROBE_LABEL &&
	    tag.handle.id == p->handle)
		fake_rm_die("shared memory is wiped", p->handle);
}

/* u16 n, u16 0, n * entry, behind the lists before it */
static void watch_entries(struct ghvm_get *g, uint32_t id)
{
	uint16_t n;

	if (id == GHVM_RM_MEM_APPEND) {
		ghvm_get_skip(g, 8);
	} else {
		ghvm_get_skip(g, 8);
		n = ghvm_get_u16(g);
		ghvm_get_skip(g, 2 + 4 * (size_t)n);
	}
	n = ghvm_get_u16(g);
	if (!g->bad && n > ENTRIES_MAX)
		fake_rm_die("too many entries for one message", n);
}

void fake_rm_watch(struct fake_rm *f, uint32_t id, const uint8_t *payload, size_t len)
{
	struct ghvm_get g = { .buf = payload, .len = len };

	switch (id) {
	case GHVM_RM_MEM_RECLAIM:
		watch_reclaim(f, &g);
		break;
	case GHVM_RM_MEM_LEND:
	case GHVM_RM_MEM_SHARE:
	case GHVM_RM_MEM_APPEND:
		watch_entries(&g, id);
		break;
	}
}
