/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ending a machine: right in every state, and right to repeat (decision 13, abi K.6).
 *
 * RM is asked where the VM stands, since that is the only truth after a lost reply. First
 * the VM is brought to where it owns nothing; then each parcel is reclaimed and unguarded;
 * last, if all of them were, the VMID goes back. RESET is never sent in LOAD or without a
 * configuration, DEALLOCATE never while a page is guarded.
 */
#include "libghvm/machine/internal.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define POLL_FIRST_MS 1
#define POLL_LAST_MS 50
#define TRIES 3 /* of a request that RM does not answer, or answers with VM_STATE in a race */

/**
 * struct settling - a VM on its way to an end
 * @stopped, @reset: RM has accepted that request
 * @tries: left for requests that were not
 * @poll_ms: next pause
 */
struct settling {
	struct ghvm_machine *m;
	bool stopped;
	bool reset;
	unsigned int tries;
	unsigned int poll_ms;
	uint64_t deadline;
};

/* An answer that the next GET_STATE explains: RM was in another state, or did not answer. */
static int excuse(struct settling *s, int r, const struct ghvm_error *e)
{
	bool race = ghvm_machine_refused(r, e) && e->rm_code == GHVM_RM_VM_STATE;

	if (r == 0 || r == -EHOSTDOWN || r == -ENOENT)
		return r;
	if (!race && ghvm_machine_refused(r, e))
		return r;
	return s->tries-- > 1 ? 0 : r;
}

/* What the VM needs in this state to get on. 1: nothing, this is its end. */
static int push(struct settling *s, enum ghvm_vm_status status, struct ghvm_error *err)
{
	struct ghvm_vmid vmid = ghvm_machine_vmid(s->m);
	struct ghvm_error e = {};
	int r = 0;

	switch (status) {
	case GHVM_VM_RUNNING:
	case GHVM_VM_PAUSED:
		if (!s->stopped) {
			r = ghvm_rm_vm_stop(s->m->rm, vmid, &e);
			s->stopped = r == 0;
		}
		break;
	case GHVM_VM_EXITED:
	case GHVM_VM_READY:
	case GHVM_VM_INIT_FAILED:
		if (!s->reset) {
			r = ghvm_rm_vm_reset(s->m->rm, vmid, &e);
			s->reset = r == 0;
		}
		break;
	case GHVM_VM_RESETTING:
		break;
	default:
		return 1;
	}
	r = excuse(s, r, &e);
	if (r == -ENOENT)
		return 1; /* no configuration: a RESET would kill RM */
	if (r < 0 && err)
		*err = e;
	return r;
}

static void pause_for_news(struct settling *s, unsigned int seen)
{
	ghvm_machine_wait(s->m, seen, s->poll_ms);
	s->poll_ms = s->poll_ms * 2 < POLL_LAST_MS ? s->poll_ms * 2 : POLL_LAST_MS;
}

/* That our VM does not exist, so that its number can be forgotten, is believed if said twice. */
static int ask_surely(struct ghvm_machine *m, enum ghvm_vm_status *ret, struct ghvm_error *err)
{
	int r = ghvm_machine_ask(m, ghvm_machine_vmid(m), ret, err);

	if (r == 0 && *ret == GHVM_VM_NONE)
		r = ghvm_machine_ask(m, ghvm_machine_vmid(m), ret, err);
	return r;
}

/*
 * Stop and reset as far as it takes.
 * @ret: NONE (RM knows no such VM), LOAD, INIT, AUTH, RESET; INIT_FAILED without configuration
 */
static int settle(struct ghvm_machine *m, enum ghvm_vm_status *ret, struct ghvm_error *err)
{
	struct settling s = { .m = m,
			      .tries = TRIES,
			      .poll_ms = POLL_FIRST_MS,
			      .deadline = ghvm_machine_now_ms() + m->patience_ms };

	for (;;) {
		unsigned int seen = ghvm_machine_news(m); /* before asking: it may change after */
		enum ghvm_vm_status status;
		int r = ask_surely(m, &status, err);

		if (r == 0)
			r = push(&s, status, err);
		if (r < 0)
			return r;
		if (r > 0) {
			m->settled = true;
			*ret = status;
			return 0;
		}
		if (ghvm_machine_now_ms() >= s.deadline)
			return ghvm_error_set(err, -ETIMEDOUT, "VM 0x%x stays in state %s",
					      ghvm_machine_vmid(m).id,
					      ghvm_vm_status_to_string(status));
		pause_for_news(&s, seen);
	}
}

/* No hypercall of the runner is in flight afterwards, and its virqs are free. */
static int drop_grant(struct ghvm_machine *m, struct ghvm_error *err)
{
	int r;

	if (!m->grant_id)
		return 0;
	r = m->host->ops->revoke(m->host, m->grant_id);
	if (r < 0 && r != -ENOENT)
		return ghvm_error_set(err, r, "cannot revoke its grant: %s", strerror(-r));
	closep(&m->grant);
	m->grant = -1;
	m->grant_id = 0;
	return 0;
}

/* Handles are easier to find while the VM can still be given something. */
static void reclaim_lost(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		if (m->parcels[i].state == GHVM_PARCEL_LOST)
			(void)ghvm_parcel_reclaim(&m->parcels[i], NULL); /* tried again below */
}

/* Pages that RM has nothing of need no VM to be gone. */
static void unguard_ours(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		if (m->parcels[i].state == GHVM_PARCEL_GUARDED)
			(void)ghvm_parcel_unguard(&m->parcels[i], NULL); /* tried again later */
}

/* It was said not to run; but it has a page, so it may. */
static bool still_has_some(int r, const struct ghvm_error *e)
{
	return ghvm_machine_refused(r, e) && e->rm_code == GHVM_RM_MEM_INUSE;
}

/* Every parcel, also after one has failed; the first error is told. */
static int reclaim_all(struct ghvm_machine *m, struct ghvm_error *err)
{
	int first = 0;

	for (size_t i = 0; i < m->n_parcels; i++) {
		struct ghvm_parcel *p = &m->parcels[i];
		struct ghvm_error e = {};
		int r = ghvm_parcel_reclaim(p, &e);

		if (still_has_some(r, &e))
			m->settled = false;
		if (r == 0)
			r = ghvm_parcel_unguard(p, &e);
		if (r < 0 && first == 0) {
			first = r;
			if (err)
				*err = e;
		}
	}
	return first;
}

/*
 * INIT can be left only by a VM_INIT that fails, which it does without memory; then RESET
 * is allowed (abi K.6).
 */
static int leave_init(struct ghvm_machine *m, enum ghvm_vm_status *status, struct ghvm_error *err)
{
	struct ghvm_vmid vmid = ghvm_machine_vmid(m);
	int r = 0;

	for (unsigned int i = 0; r == 0 && *status == GHVM_VM_INIT && i < TRIES; i++) {
		(void)ghvm_rm_vm_init(m->rm, vmid, NULL); /* meant to fail */
		r = settle(m, status, err);
	}
	if (r == 0 && *status == GHVM_VM_INIT)
		return ghvm_error_set(err, -EBUSY, "VM 0x%x cannot leave state init", vmid.id);
	return r;
}

static int deallocate(struct ghvm_machine *m, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	enum ghvm_vm_status status;
	struct ghvm_error e = {};
	int r = ghvm_rm_vm_deallocate(m->rm, vmid, &e);

	if (r == 0 || r == -ENOENT)
		return 0;
	if (!ghvm_machine_refused(r, &e)) { /* no answer: is it still there? */
		r = ghvm_machine_ask(m, vmid, &status, &e);
		if (r == 0 && status == GHVM_VM_NONE)
			return 0;
		if (r == 0)
			r = ghvm_rm_vm_deallocate(m->rm, vmid, &e);
	}
	if (r < 0 && err)
		*err = e;
	return r;
}

/* May the number go back, so that another VM gets it? Not if one more parcel may name it. */
static bool may_deallocate(const struct ghvm_machine *m, enum ghvm_vm_status status)
{
	if (m->adopted && ghvm_ledger_distrusted(m->ledger))
		return false;
	return status == GHVM_VM_LOAD || status == GHVM_VM_RESET;
}

/* Nothing is the VM's any more: its number goes back, or is counted as stuck. */
static int retire(struct ghvm_machine *m, enum ghvm_vm_status status, struct ghvm_error *err)
{
	struct ghvm_vmid vmid = ghvm_machine_vmid(m);
	int r = 0;

	if (status == GHVM_VM_INIT)
		r = leave_init(m, &status, err);
	if (r == 0 && may_deallocate(m, status)) {
		r = deallocate(m, vmid, err);
		status = GHVM_VM_NONE;
	}
	if (r < 0)
		return r;
	if (status == GHVM_VM_NONE)
		ghvm_ledger_vmid_remove(m->ledger, vmid);
	else
		ghvm_ledger_vmid_stuck(m->ledger, vmid);
	return 0;
}

/* A VMID that was allocated for us, but not told: a VM in LOAD that nobody here has. */
static int free_lost_vmids(struct ghvm_machine *m, struct ghvm_error *err)
{
	struct ghvm_vmid first, last;
	int r = 0;

	if (ghvm_ledger_distrusted(m->ledger)) { /* one in LOAD may have pages: rather lose it */
		m->vmid_lost = false;
		return 0;
	}
	ghvm_ledger_vmids(m->ledger, &first, &last);
	ghvm_ledger_numbering_begin(m->ledger);
	for (uint16_t id = first.id; r == 0 && id <= last.id; id++) {
		struct ghvm_vmid vmid = { id };
		enum ghvm_vm_status status;

		if (ghvm_ledger_vmid_known(m->ledger, vmid))
			continue;
		r = ghvm_machine_ask(m, vmid, &status, err);
		if (r == 0 && status == GHVM_VM_LOAD)
			r = deallocate(m, vmid, err);
	}
	ghvm_ledger_numbering_end(m->ledger);
	if (r == 0)
		m->vmid_lost = false;
	return r;
}

int ghvm_machine_take_back(struct ghvm_machine *m, struct ghvm_error *err)
{
	enum ghvm_vm_status status;
	int r = drop_grant(m, err);

	ghvm_transaction_abort(m->transaction);
	if (r == 0 && m->vmid_lost)
		r = free_lost_vmids(m, err);
	if (r < 0 || !ghvm_machine_vmid(m).id)
		return r;
	reclaim_lost(m);
	r = settle(m, &status, err);
	if (r < 0)
		unguard_ours(m);
	if (r == 0)
		r = reclaim_all(m, err);
	if (r == 0)
		r = retire(m, status, err);
	if (r < 0)
		return r;
	m->n_vcpus = 0;
	m->n_doorbells = 0;
	ghvm_machine_map_clear(m);
	ghvm_machine_set_vmid(m, (struct ghvm_vmid){ 0 });
	m->undo_failed = false;
	return 0;
}

void ghvm_machine_unpin(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		ghvm_parcel_done(&m->parcels[i]);
}

/* What is ours again does not wait for what is not. */
static void unpin_ours(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		if (m->parcels[i].state == GHVM_PARCEL_OURS)
			ghvm_parcel_done(&m->parcels[i]);
}

int ghvm_machine_teardown(struct ghvm_machine *m, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(m->rm, m->name);
	int r = ghvm_machine_take_back(m, err);

	m->undo_failed = r < 0;
	if (r == 0)
		ghvm_machine_unpin(m);
	else
		unpin_ours(m);
	return r;
}
