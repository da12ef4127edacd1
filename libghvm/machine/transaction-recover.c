/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of a commit after its process died: it is undone or completed as a whole.
 *
 * It is undone while one region has UNDECIDED in its tag, and completed otherwise (tag.h).
 * Recovery does not wait for the guest: added regions are announced only after the decision, and
 * by then removed ones are back. Each region loses its flags when it is done, the decisive one
 * last, so that another recovery after a crash takes the same decision.
 *
 * A region that RM does not give back stays guarded, as an added region.
 */
#include "libghvm/base/bits.h"
#include "libghvm/machine/internal.h"
#include "libghvm/rm/mem-calls.h"
#include "ghvm/transaction.h"

/* Announce a region. Only to a guest with an RM node: for another one RM would die (abi K.6). */
static void announce_region(struct ghvm_machine *m, struct ghvm_parcel *p)
{
	const uint32_t tag = (uint32_t)(p->config.ipa / GHVM_PAGE);

	if (m->plan && m->plan->spec->rm_rpc && p->state == GHVM_PARCEL_SHARED &&
	    ghvm_rm_mem_notify(m->rm, p->handle, GHVM_MEM_NOTIFY_SHARED, tag, ghvm_machine_vmid(m),
			       NULL) == 0)
		ghvm_parcel_confirm(p); /* on failure the guest still has the region */
}

static int take_region_back(struct ghvm_machine *m, struct ghvm_parcel *p)
{
	int r = ghvm_parcel_reclaim(p, NULL);

	if (r == 0)
		r = ghvm_parcel_unguard(p, NULL);
	if (r == 0)
		ghvm_machine_forget(m, p);
	return r;
}

/* The region was recalled, and perhaps reclaimed: share and announce it again. */
static void restore_region(struct ghvm_machine *m, struct ghvm_parcel *p)
{
	if (ghvm_parcel_reclaim(p, NULL) == 0 && ghvm_parcel_give(p, NULL) == 0)
		ghvm_machine_added_name(m, p->config.label, p->handle);
	announce_region(m, p); /* also cancels a recall that the guest has not followed */
}

static void settle_region(struct ghvm_machine *m, struct ghvm_parcel *p, bool undo)
{
	const bool comes = p->change & GHVM_TAG_COMING;

	if (comes == undo && take_region_back(m, p) == 0)
		return;
	if (!comes && undo)
		restore_region(m, p);
	else if (comes && !undo)
		announce_region(m, p);
	(void)ghvm_parcel_mark(p, 0, NULL); /* the next commit retries */
}

void ghvm_transaction_adopt(struct ghvm_machine *m)
{
	const size_t first = m->plan ? m->plan->n_parcels : 0;
	bool undo = false;

	for (size_t i = first; i < m->n_parcels; i++)
		undo = undo || m->parcels[i].change & GHVM_TAG_UNDECIDED;
	for (size_t i = m->n_parcels; i-- > first;)
		if (m->parcels[i].change && !(m->parcels[i].change & GHVM_TAG_UNDECIDED))
			settle_region(m, &m->parcels[i], undo);
	for (size_t i = m->n_parcels; i-- > first;)
		if (m->parcels[i].change & GHVM_TAG_UNDECIDED)
			settle_region(m, &m->parcels[i], undo);
}
