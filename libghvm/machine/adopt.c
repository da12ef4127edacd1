/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Machines made from the remains of a dead process: orphans, and VMIDs.
 *
 * Only RM knows the state of the VM. Teardown is the same as for any other machine (teardown.c).
 */
#include "libghvm/hyp/host.h"
#include "libghvm/machine/internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/trace/attribution.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int adopt_one(struct ghvm_machine *m, const struct ghvm_orphan *o, struct ghvm_error *err)
{
	struct ghvm_parcel *p = &m->parcels[m->n_parcels];
	struct ghvm_parcel_config config = {};
	int pin, r;

	(void)snprintf(config.name, sizeof(config.name), "region %u", o->tag.label);
	ghvm_parcel_init(p, m->host, m->rm, m->ledger, &config);
	pin = m->host->ops->quarantine_adopt(m->host, o->id);
	if (pin < 0)
		return ghvm_error_set(err, pin, "%s: cannot take it from the quarantine: %s",
				      config.name, strerror(-pin));
	r = ghvm_parcel_adopt(p, pin, &o->tag, err);
	if (r < 0) {
		m->host->ops->pin_close(m->host, pin); /* goes back into the quarantine */
		return r;
	}
	m->n_parcels++;
	if (p->with.id)
		ghvm_ledger_vmid_add(m->ledger, p->with);
	return 0;
}

static void swap_parcels(struct ghvm_parcel *a, struct ghvm_parcel *b)
{
	struct ghvm_parcel t = *a;

	*a = *b;
	*b = t;
}

/* A region of two guests that is not among the orphans of this one is the other machine's. */
static void add_joined(struct ghvm_machine *m, const struct ghvm_plan_parcel *pp)
{
	const struct ghvm_parcel_config config = {
		.label = pp->label,
		.ipa = pp->ipa,
		.rights = ghvm_parcel_rights(pp->label, false, pp->readonly),
	};

	ghvm_parcel_init(&m->parcels[m->n_parcels++], m->host, m->rm, m->ledger, &config);
}

static uint64_t size_of(const struct ghvm_parcel *p, const struct ghvm_plan_parcel *pp)
{
	return p->state == GHVM_PARCEL_UNPINNED ? pp->size : p->size;
}

/* Sort the parcels into the plan's order; false: they do not match the plan. */
static bool fit_plan(struct ghvm_machine *m, const struct ghvm_plan *plan)
{
	for (size_t i = 0; i < plan->n_parcels; i++) {
		const struct ghvm_plan_parcel *pp = &plan->parcels[i];
		size_t at = i;

		while (at < m->n_parcels && m->parcels[at].config.label != pp->label)
			at++;
		if (at == m->n_parcels && pp->paired)
			add_joined(m, pp);
		if (at == m->n_parcels || size_of(&m->parcels[at], pp) != pp->size ||
		    m->parcels[at].config.ipa != pp->ipa || m->parcels[at].config.lend != pp->lend)
			return false;
		swap_parcels(&m->parcels[i], &m->parcels[at]);
		memcpy(m->parcels[i].config.name, pp->name, sizeof(pp->name));
	}
	return true;
}

/* @name: from a tag, not trusted; an invalid name is ignored */
static int make_adopted(struct ghvm_host *host, struct ghvm_rm *rm, struct ghvm_ledger *ledger,
			const char *name, struct ghvm_vmid vmid, uint64_t incarnation, size_t n,
			struct ghvm_machine **ret)
{
	struct ghvm_machine *m;
	int r = ghvm_machine_alloc(host, rm, n, &m);

	if (r < 0)
		return r;
	m->ledger = ledger;
	m->adopted = true;
	m->incarnation = incarnation;
	if (ghvm_name_valid(name))
		memcpy(m->name, name, strlen(name));
	ghvm_machine_set_vmid(m, vmid);
	m->started = true;     /* unknown; assume yes, so that VM_EXITED is not ignored */
	m->undo_failed = true; /* left by the dead process */
	m->grant_id = incarnation ? ghvm_machine_grant_id(m) : 0;
	ghvm_ledger_vmid_add(ledger, vmid);
	*ret = m;
	return 0;
}

static bool has_vmids_of_guests(const struct ghvm_tag *t)
{
	return ghvm_vmid_is_guest(t->vmid) && (!t->with.id || ghvm_vmid_is_guest(t->with));
}

/* Nothing may be sent to RM because of a forged tag. */
static int check_orphans(const struct ghvm_orphan *o, size_t n, struct ghvm_error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (o[i].readable && !has_vmids_of_guests(&o[i].tag))
			return ghvm_error_set(err, -EINVAL,
					      "VMID 0x%x or 0x%x is not that of a guest",
					      o[i].tag.vmid.id, o[i].tag.with.id);
		if (!o[i].readable || !ghvm_orphans_same_life(&o[i].tag, &o[0].tag))
			return ghvm_error_set(err, -EINVAL, "the orphans belong to different VMs");
		for (size_t k = 0; k < i; k++)
			if (ghvm_orphans_contradiction(&o[i].tag, &o[k].tag))
				return ghvm_error_set(err, -EINVAL,
						      "two orphans have the tag of region %u",
						      o[i].tag.label);
	}
	return 0;
}

int ghvm_machine_adopt(struct ghvm_host *host, struct ghvm_rm *rm, struct ghvm_ledger *ledger,
		       const struct ghvm_plan *plan, const struct ghvm_orphan *orphans, size_t n,
		       struct ghvm_machine **ret, struct ghvm_error *err)
{
	_cleanup_(ghvm_machine_freep) struct ghvm_machine *m = NULL;
	const struct ghvm_tag *tag = &orphans[0].tag;
	int r;

	r = check_orphans(orphans, n, err);
	if (r < 0)
		return r;
	r = make_adopted(host, rm, ledger, tag->name, tag->vmid, tag->incarnation, n, &m);
	if (r < 0)
		return ghvm_error_set(err, r, "out of memory");
	for (size_t i = 0; i < n; i++) {
		r = adopt_one(m, &orphans[i], err);
		if (r < 0)
			return r;
	}
	if (plan && fit_plan(m, plan))
		m->plan = plan;
	(void)ghvm_machine_map_fill(m, NULL); /* a region that overlaps another is left out */
	*ret = TAKE_PTR(m);
	return 0;
}

/* ---- VMIDs without pins ---- */

/* May RM be asked about @vmid? Outside of the usual range it may be that of a VM of others. */
static bool is_ours(struct ghvm_ledger *l, struct ghvm_vmid vmid)
{
	return ghvm_ledger_vmid_usual(l, vmid) || ghvm_ledger_vmid_noted(l, vmid);
}

/*
 * Is a VM without a tag that of a process which was killed? Outside of the usual range it has to be in a state in which
 * a VM of ours has no tag: before its first guard, or after its last RECLAIM.
 */
static bool is_stray(struct ghvm_ledger *l, struct ghvm_vmid vmid, enum ghvm_vm_status status)
{
	if (ghvm_ledger_vmid_usual(l, vmid))
		return status != GHVM_VM_NONE;
	return status == GHVM_VM_LOAD || status == GHVM_VM_RESET;
}

int ghvm_machine_strays(struct ghvm_rm *rm, struct ghvm_ledger *ledger,
			struct ghvm_vmid ret[GHVM_VMIDS], size_t *ret_n, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(rm, GHVM_CALLER_UNSEEN);
	_cleanup_(ghvm_machine_freep) struct ghvm_machine *m = NULL;
	size_t n = 0;
	int r = ghvm_machine_alloc(NULL, rm, 0, &m); /* only for queries */

	if (r < 0)
		return ghvm_error_set(err, r, "out of memory");
	for (uint16_t id = 0; id < GHVM_VMIDS; id++) {
		struct ghvm_vmid vmid = { id };
		enum ghvm_vm_status status;

		if (ghvm_ledger_vmid_known(ledger, vmid) || !is_ours(ledger, vmid))
			continue;
		r = ghvm_machine_ask(m, vmid, &status, err);
		if (r < 0)
			return r;
		if (is_stray(ledger, vmid, status))
			ret[n++] = vmid;
	}
	*ret_n = n;
	return 0;
}

int ghvm_machine_adopt_stray(struct ghvm_host *host, struct ghvm_rm *rm, struct ghvm_ledger *ledger,
			     struct ghvm_vmid vmid, struct ghvm_machine **ret)
{
	return make_adopted(host, rm, ledger, "", vmid, 0, 0, ret);
}

/* resuming */

int ghvm_machine_status(struct ghvm_machine *m, enum ghvm_vm_status *ret, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(m->rm, m->name);
	struct ghvm_vmid vmid = ghvm_machine_vmid(m);

	if (!vmid.id) {
		*ret = GHVM_VM_NONE;
		return 0;
	}
	return ghvm_machine_ask(m, vmid, ret, err);
}

/* A LOST parcel was never announced to the guest, so it can be taken back. */
static void drop_half_added(struct ghvm_machine *m)
{
	const size_t first = m->plan ? m->plan->n_parcels : 0;

	for (size_t i = m->n_parcels; i-- > first;) {
		struct ghvm_parcel *p = &m->parcels[i];

		if (p->state != GHVM_PARCEL_LOST || p->with.id ||
		    ghvm_parcel_reclaim(p, NULL) < 0 || ghvm_parcel_unguard(p, NULL) < 0)
			continue; /* stays guarded until the VM ends */
		ghvm_machine_forget(m, p);
	}
}

int ghvm_machine_carry_on(struct ghvm_machine *m, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(m->rm, m->name);
	enum ghvm_vm_status status;
	int r = ghvm_machine_status(m, &status, err);

	if (r < 0)
		return r;
	if (status != GHVM_VM_RUNNING)
		return ghvm_error_set(err, -ESTALE, "VM %u does not run: it is in state %s",
				      ghvm_machine_vmid(m).id, ghvm_vm_status_to_string(status));
	ghvm_transaction_adopt(m);
	drop_half_added(m);
	m->undo_failed = false;
	m->step = GHVM_STEP_START;
	return ghvm_machine_learn(m, err);
}
