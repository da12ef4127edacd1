/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regions of two guests: reserving a VMID, joining, and which machine has to give back what.
 *
 * A VMID must not be deallocated while a parcel names it, since RM would give the parcel to the next VM of that
 * number. The ledger knows what the VMID of a second guest belongs to (ledger-pair.c).
 */
#include "libghvm/machine/internal.h"
#include "libghvm/machine/pair.h"

#include <errno.h>
#include <inttypes.h>

void ghvm_machine_set_pair(struct ghvm_machine *m, const struct ghvm_machine_pair *pair)
{
	m->pair = *pair;
}

bool ghvm_machine_awaits_peer(const struct ghvm_machine *m)
{
	return m->undo_failed && m->awaits_peer;
}

struct ghvm_vmid ghvm_machine_peer(const struct ghvm_machine *m)
{
	const size_t n = m->plan ? m->plan->n_parcels : m->n_parcels;

	for (size_t i = 0; i < n; i++)
		if (m->parcels[i].with.id)
			return m->parcels[i].with;
	return (struct ghvm_vmid){ 0 };
}

bool ghvm_machine_joined(const struct ghvm_machine *m, size_t parcel)
{
	return m->plan && parcel < m->plan->n_parcels && m->plan->parcels[parcel].paired &&
	       m->parcels[parcel].state == GHVM_PARCEL_UNPINNED;
}

static bool is_peer_readonly(const struct ghvm_machine *m, uint32_t label)
{
	for (size_t i = 0; i < m->pair.n_readonly; i++)
		if (m->pair.readonly[i] == label)
			return true;
	return false;
}

void ghvm_machine_pair_parcels(struct ghvm_machine *m, struct ghvm_vmid with)
{
	for (size_t i = 0; i < m->plan->n_parcels; i++) {
		struct ghvm_parcel *p = &m->parcels[i];
		const uint32_t label = p->config.label;

		if (m->plan->parcels[i].paired)
			ghvm_parcel_pair(
				p, with,
				ghvm_parcel_rights(label, false, is_peer_readonly(m, label)));
	}
}

int ghvm_machine_join(struct ghvm_machine *m, struct ghvm_error *err)
{
	const struct ghvm_vmid vmid = m->pair.joins;
	enum ghvm_vm_status status;
	int r = ghvm_machine_ask(m, vmid, &status, err);

	if (r < 0)
		return r;
	/* an earlier manager may have used it, or RM may be wrong: then it is left alone */
	if (status != GHVM_VM_LOAD || ghvm_ledger_distrusted(m->ledger) ||
	    !ghvm_ledger_pair_join(m->ledger, vmid, m->pair.maker))
		return ghvm_error_set(err, -EBUSY,
				      "VM %u, which the regions are shared with, is in state %s: "
				      "stop the other VM, too, then start both",
				      vmid.id, ghvm_vm_status_to_string(status));
	ghvm_machine_set_vmid(m, vmid);
	m->adopted = false; /* all its parcels are known */
	return 0;
}

bool ghvm_machine_may_reclaim(struct ghvm_machine *m, const struct ghvm_parcel *p)
{
	return !p->with.id || ghvm_ledger_pair_close(m->ledger, p->entry);
}

/* Deallocate the second VMID. Only what RM says of it is known, so that it must be a state without a guest. */
static int free_peer(struct ghvm_machine *m, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	enum ghvm_vm_status status;
	int r = ghvm_machine_ask_surely(m, vmid, &status, err);

	return r < 0 ? r : ghvm_machine_retire(m, vmid, status, err);
}

int ghvm_machine_pair_end(struct ghvm_machine *m, struct ghvm_parcel *p, struct ghvm_error *err)
{
	int r = 0;

	if (!p->with.id)
		return 0;
	if (ghvm_ledger_pair_end(m->ledger, p->entry)) {
		r = free_peer(m, p->with, err);
		if (r < 0)
			return r;
		ghvm_ledger_pair_drop(m->ledger, p->entry);
	}
	p->with.id = 0;
	return 0;
}
