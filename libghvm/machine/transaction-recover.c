/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A commit whose process died: all of it is undone, or all of it is finished.
 *
 * Which of the two says the region that is UNDECIDED, or that there is none any more (tag.h). Nobody
 * has to wait for the guest: it is told of what comes only when all is decided, and by then
 * what goes is back. Whoever is marked loses the mark when done with, the decisive one last, so
 * that a process that dies meanwhile leaves the same question to the next.
 *
 * What RM does not give back stays, guarded, as a region that was added.
 */
#include "libghvm/base/bits.h"
#include "libghvm/machine/internal.h"
#include "libghvm/rm/mem-calls.h"
#include "ghvm/transaction.h"

/* Only a guest with a link can be told: for another one RM would die (abi K.6). */
static void tell(struct ghvm_machine *m, struct ghvm_parcel *p)
{
	const uint32_t tag = (uint32_t)(p->config.ipa / GHVM_PAGE);

	if (m->plan && m->plan->spec->rm_rpc && p->state == GHVM_PARCEL_SHARED &&
	    ghvm_rm_mem_notify(m->rm, p->handle, GHVM_MEM_NOTIFY_SHARED, tag, ghvm_machine_vmid(m),
			       NULL) == 0)
		ghvm_parcel_confirm(p); /* else it is there all the same */
}

static int take_back(struct ghvm_machine *m, struct ghvm_parcel *p)
{
	int r = ghvm_parcel_reclaim(p, NULL);

	if (r == 0)
		r = ghvm_parcel_unguard(p, NULL);
	if (r == 0)
		ghvm_machine_forget(m, p);
	return r;
}

/* It was recalled, perhaps even taken back: the guest keeps it, or gets it again. */
static void give_again(struct ghvm_machine *m, struct ghvm_parcel *p)
{
	if (ghvm_parcel_reclaim(p, NULL) == 0 && ghvm_parcel_give(p, NULL) == 0)
		ghvm_machine_added_name(m, p->config.label, p->handle);
	tell(m, p); /* also if the guest has not let go of it: the recall is off */
}

static void settle(struct ghvm_machine *m, struct ghvm_parcel *p, bool undo)
{
	const bool comes = p->change & GHVM_TAG_COMING;

	if (comes == undo && take_back(m, p) == 0)
		return;
	if (!comes && undo)
		give_again(m, p);
	else if (comes && !undo)
		tell(m, p);
	(void)ghvm_parcel_mark(p, 0, NULL); /* the next commit tries again */
}

void ghvm_transaction_adopt(struct ghvm_machine *m)
{
	const size_t first = m->plan ? m->plan->n_parcels : 0;
	bool undo = false;

	for (size_t i = first; i < m->n_parcels; i++)
		undo = undo || m->parcels[i].change & GHVM_TAG_UNDECIDED;
	for (size_t i = m->n_parcels; i-- > first;)
		if (m->parcels[i].change && !(m->parcels[i].change & GHVM_TAG_UNDECIDED))
			settle(m, &m->parcels[i], undo);
	for (size_t i = m->n_parcels; i-- > first;)
		if (m->parcels[i].change & GHVM_TAG_UNDECIDED)
			settle(m, &m->parcels[i], undo);
}
