/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Teardown of a machine: works from every state and can be repeated (decision 13, abi K.6).
 *
 * RM is asked for the VM's state, since after a lost reply nothing else is reliable; once, where later notifications
 * agree with its replies. First the VM
 * is stopped and reset; then each parcel is reclaimed and unguarded; finally, if all of them
 * were, the VMID is deallocated. RESET is never sent in LOAD or without a configuration,
 * DEALLOCATE never while a page is guarded.
 */
#include "libghvm/hyp/host.h"
#include "libghvm/machine/internal.h"
#include "libghvm/rm/boot-calls.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/rm/rpc.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define POLL_FIRST_MS 1
#define POLL_LAST_MS 50
#define TRIES 3 /* attempts of a request that is not answered, or refused with VM_STATE in a race */

/**
 * struct settling - the progress of stopping and resetting a VM
 * @stopped, @reset: RM has accepted that request
 * @tries: attempts left
 * @poll_ms: next pause
 * @deadline: for a change of state after the last request
 */
struct settling {
	struct ghvm_machine *m;
	bool stopped;
	bool reset;
	unsigned int tries;
	unsigned int poll_ms;
	uint64_t deadline;
};

/* 0 if the request may be tried again after a GET_STATE: it lost a race, or was not answered. */
static int check_retry(struct settling *s, int r, const struct ghvm_error *e)
{
	bool race = ghvm_machine_refused(r, e) && e->rm_code == GHVM_RM_VM_STATE;

	if (r == 0 || r == -EHOSTDOWN || r == -ENOENT)
		return r;
	if (!race && ghvm_machine_refused(r, e))
		return r;
	return s->tries-- > 1 ? 0 : r;
}

/* The guest can have no RM node, by which it could leave a message. */
static bool has_no_link(const struct ghvm_machine *m)
{
	return m->plan && !m->plan->spec->rm_rpc;
}

/*
 * Ask once for the message that the guest has left, which RM forgets at RESET. Nothing depends on it: a
 * resource manager that does not know the request, or answers nonsense, has none.
 */
static void ask_crash_message(struct ghvm_machine *m)
{
	char text[GHVM_CRASH_MESSAGE_SIZE];

	if (m->asked_crash || has_no_link(m))
		return;
	m->asked_crash = true;
	if (ghvm_rm_vm_get_crash_msg(m->rm, ghvm_machine_vmid(m), text, NULL) == 0)
		memcpy(m->crash, text, sizeof(m->crash));
}

/*
 * A request that RM has accepted gets the whole patience, however long those before it have taken. Where notifications
 * come, its effect is notified, so RM is not asked soon.
 */
static bool note_accepted(struct settling *s, int r)
{
	if (r < 0)
		return false;
	s->deadline = ghvm_machine_now_ms() + s->m->patience_ms;
	if (ghvm_machine_news(s->m))
		s->poll_ms = POLL_LAST_MS;
	return true;
}

/* Send the request that @status calls for. Return: 1, none: the VM has settled. */
static int advance_vm(struct settling *s, enum ghvm_vm_status status, struct ghvm_error *err)
{
	struct ghvm_vmid vmid = ghvm_machine_vmid(s->m);
	struct ghvm_error e = {};
	int r = 0;

	switch (status) {
	case GHVM_VM_RUNNING:
	case GHVM_VM_PAUSED:
		if (!s->stopped) {
			ghvm_machine_hear(s->m);
			r = ghvm_rm_vm_stop(s->m->rm, vmid, &e);
			s->stopped = note_accepted(s, r);
		}
		break;
	case GHVM_VM_EXITED:
		ask_crash_message(s->m);
		__attribute__((fallthrough));
	case GHVM_VM_READY:
	case GHVM_VM_INIT_FAILED:
		if (!s->reset) {
			ghvm_machine_hear(s->m);
			r = ghvm_rm_vm_reset(s->m->rm, vmid, &e);
			s->reset = note_accepted(s, r);
		}
		break;
	case GHVM_VM_RESETTING:
		break;
	default:
		return 1;
	}
	r = check_retry(s, r, &e);
	if (r == -ENOENT)
		return 1; /* no configuration: a RESET would kill RM */
	if (r < 0 && err)
		*err = e;
	return r;
}

int ghvm_machine_ask_surely(struct ghvm_machine *m, struct ghvm_vmid vmid, enum ghvm_vm_status *ret,
			    struct ghvm_error *err)
{
	int r = ghvm_machine_ask(m, vmid, ret, err);

	if (r == 0 && *ret == GHVM_VM_NONE)
		r = ghvm_machine_ask(m, vmid, ret, err);
	return r;
}

/* What the last request that RM has accepted leads to; NONE: there was none. */
static enum ghvm_vm_status find_aim(const struct settling *s)
{
	if (s->reset)
		return GHVM_VM_RESET;
	return s->stopped ? GHVM_VM_EXITED : GHVM_VM_NONE;
}

/*
 * The VM's state. If RM has accepted a request, and has notified since then what that request leads to, the two
 * agree and RM is not asked. A RESET that follows is safe: a VM that RM has stopped was running, so it is in neither
 * of the states in which a RESET kills RM (abi K.6).
 */
static int find_status(struct settling *s, enum ghvm_vm_status *ret, struct ghvm_error *err)
{
	*ret = find_aim(s);
	if (*ret != GHVM_VM_NONE && ghvm_machine_told(s->m, *ret))
		return 0;
	return ghvm_machine_ask_surely(s->m, ghvm_machine_vmid(s->m), ret, err);
}

/* Until RM notifies something, or what an accepted request leads to; @seen: notifications before RM was asked. */
static void pause_for_news(struct settling *s, unsigned int seen)
{
	const enum ghvm_vm_status aim = find_aim(s);
	uint64_t now = ghvm_machine_now_ms(), until = now + s->poll_ms;

	if (until > s->deadline)
		until = s->deadline;
	while (now < until) {
		ghvm_machine_wait(s->m, seen, (unsigned int)(until - now));
		seen = ghvm_machine_news(s->m);
		now = ghvm_machine_now_ms();
		if (aim == GHVM_VM_NONE || ghvm_machine_told(s->m, aim))
			break;
	}
	s->poll_ms = s->poll_ms * 2 < POLL_LAST_MS ? s->poll_ms * 2 : POLL_LAST_MS;
}

/*
 * Stop and reset the VM. @ret: NONE (RM knows no such VM), LOAD, INIT, AUTH, RESET; INIT_FAILED
 * without configuration
 */
static int settle_vm(struct ghvm_machine *m, enum ghvm_vm_status *ret, struct ghvm_error *err)
{
	struct settling s = { .m = m,
			      .tries = TRIES,
			      .poll_ms = POLL_FIRST_MS,
			      .deadline = ghvm_machine_now_ms() + m->patience_ms };

	for (;;) {
		unsigned int seen =
			ghvm_machine_news(m); /* read before asking, so that no change is missed */
		const uint64_t asked_at = ghvm_machine_now_ms();
		enum ghvm_vm_status status;
		int r = find_status(&s, &status, err);

		if (r == 0)
			r = advance_vm(&s, status, err);
		if (r < 0)
			return r;
		if (r > 0) {
			m->settled = true;
			*ret = status;
			return 0;
		}
		if (asked_at >= s.deadline)
			return ghvm_error_set(err, -ETIMEDOUT, "VM %u is still in state %s",
					      ghvm_machine_vmid(m).id,
					      ghvm_vm_status_to_string(status));
		pause_for_news(&s, seen);
	}
}

/* Revoke the grant: afterwards no hypercall of the runner is in flight, and its virqs are free. */
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

/* Lost handles are easier to find while the VM can still be given a parcel. */
static void reclaim_lost(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		if (m->parcels[i].state == GHVM_PARCEL_LOST &&
		    ghvm_machine_may_reclaim(m, &m->parcels[i]))
			(void)ghvm_parcel_reclaim(&m->parcels[i], NULL); /* retried below */
}

/* Pages that RM has in no parcel can be unguarded although the VM exists. */
static void unguard_ours(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		if (m->parcels[i].state == GHVM_PARCEL_GUARDED)
			(void)ghvm_parcel_unguard(&m->parcels[i], NULL); /* retried later */
}

/* The guest has a page, so it may run although RM said otherwise. */
static bool is_in_use(int r, const struct ghvm_error *e)
{
	return ghvm_machine_refused(r, e) && e->rm_code == GHVM_RM_MEM_INUSE;
}

static int take_parcel_back(struct ghvm_machine *m, struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_error e = {};
	int r;

	if (!ghvm_machine_may_reclaim(m, p))
		return ghvm_error_set(err, -EXDEV,
				      "%s: VM %u, which it is shared with, has not ended",
				      p->config.name, p->with.id);
	r = ghvm_parcel_reclaim(p, &e);
	if (is_in_use(r, &e))
		m->settled = false;
	if (r == 0)
		r = ghvm_parcel_unguard(p, &e);
	if (r == 0)
		r = ghvm_machine_pair_end(m, p, &e);
	if (r < 0 && err)
		*err = e;
	return r;
}

/*
 * Take each parcel back, also after one failed. The first error is returned, and that another guest may have a
 * parcel only if there is no other.
 */
static int take_each_back(struct ghvm_machine *m, struct ghvm_error *err)
{
	struct ghvm_error first = {};

	for (size_t i = 0; i < m->n_parcels; i++) {
		struct ghvm_error e = {};

		if (take_parcel_back(m, &m->parcels[i], &e) < 0 &&
		    (!first.code || first.code == -EXDEV))
			first = e;
	}
	m->awaits_peer = first.code == -EXDEV;
	if (first.code && err)
		*err = first;
	return first.code;
}

/* The handle of a parcel may be unknown for as long as another one is not back: a probe that a dead process has left. */
static int take_all_back(struct ghvm_machine *m, struct ghvm_error *err)
{
	int r = take_each_back(m, err);

	return r == -EBUSY ? take_each_back(m, err) : r;
}

static bool is_before_ready(enum ghvm_vm_status status)
{
	return status == GHVM_VM_AUTH || status == GHVM_VM_INIT;
}

/*
 * The only way out of AUTH and INIT is a failing VM_AUTH_IMAGE or VM_INIT, and without parameters
 * or memory it fails. Then RESET is allowed (abi D.1, K.6).
 */
static int leave_init(struct ghvm_machine *m, enum ghvm_vm_status *status, struct ghvm_error *err)
{
	struct ghvm_vmid vmid = ghvm_machine_vmid(m);
	int r = 0;

	for (unsigned int i = 0; r == 0 && is_before_ready(*status) && i < TRIES; i++) {
		if (*status == GHVM_VM_AUTH)
			(void)ghvm_rm_vm_auth_image(m->rm, vmid, 0, NULL); /* meant to fail */
		else
			(void)ghvm_rm_vm_init(m->rm, vmid, NULL); /* likewise */
		r = settle_vm(m, status, err);
	}
	if (r == 0 && is_before_ready(*status))
		return ghvm_error_set(err, -EBUSY, "VM %u cannot leave state %s", vmid.id,
				      ghvm_vm_status_to_string(*status));
	return r;
}

static int deallocate(struct ghvm_machine *m, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	enum ghvm_vm_status status;
	struct ghvm_error e = {};
	int r = ghvm_rm_vm_deallocate(m->rm, vmid, &e);

	if (r == 0 || r == -ENOENT)
		return 0;
	if (!ghvm_machine_refused(r, &e)) { /* no answer: ask whether the VM exists */
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

/* A deallocated VMID is given to another VM: not allowed if an unknown parcel may belong to it. */
static bool may_deallocate(const struct ghvm_machine *m, enum ghvm_vm_status status)
{
	if (m->adopted && ghvm_ledger_distrusted(m->ledger))
		return false;
	return status == GHVM_VM_LOAD || status == GHVM_VM_RESET;
}

int ghvm_machine_retire(struct ghvm_machine *m, struct ghvm_vmid vmid, enum ghvm_vm_status status,
			struct ghvm_error *err)
{
	int r = 0;

	/* RM may hand the VMID out in its next answer: by then it must not be in use here. */
	ghvm_ledger_numbering_begin(m->ledger);
	if (may_deallocate(m, status)) {
		r = deallocate(m, vmid, err);
		status = GHVM_VM_NONE;
	}
	if (r == 0 && status == GHVM_VM_NONE)
		ghvm_ledger_vmid_remove(m->ledger, vmid);
	else if (r == 0)
		ghvm_ledger_vmid_stuck(m->ledger, vmid);
	ghvm_ledger_numbering_end(m->ledger);
	return r;
}

/* The VM owns nothing: retire its VMID. */
static int retire_own(struct ghvm_machine *m, enum ghvm_vm_status status, struct ghvm_error *err)
{
	struct ghvm_vmid vmid = ghvm_machine_vmid(m);
	int r = 0;

	if (is_before_ready(status))
		r = leave_init(m, &status, err);
	if (r < 0)
		return r;
	if (ghvm_ledger_pair_return(m->ledger, vmid, status == GHVM_VM_LOAD))
		return 0; /* a parcel of another machine names it, and has it now */
	return ghvm_machine_retire(m, vmid, status, err);
}

/* Deallocate the VM if it is in LOAD and not in use here. */
static int free_if_lost(struct ghvm_machine *m, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	enum ghvm_vm_status status;
	int r;

	if (ghvm_ledger_vmid_known(m->ledger, vmid))
		return 0;
	r = ghvm_machine_ask(m, vmid, &status, err);
	if (r == 0 && status == GHVM_VM_LOAD)
		r = deallocate(m, vmid, err);
	return r;
}

/* Free the VMID of an ALLOCATE without an answer, or with one that was not believed. */
static int free_lost_vmids(struct ghvm_machine *m, struct ghvm_error *err)
{
	struct ghvm_vmid first, last;
	int r = 0;

	if (ghvm_ledger_distrusted(
		    m->ledger)) { /* a VM in LOAD may have pages: rather leak its VMID */
		m->vmid_lost = false;
		return 0;
	}
	ghvm_ledger_vmids(m->ledger, &first, &last);
	ghvm_ledger_numbering_begin(m->ledger);
	if (m->vmid_odd.id)
		r = free_if_lost(m, m->vmid_odd, err);
	for (uint16_t id = first.id; r == 0 && id <= last.id; id++)
		r = free_if_lost(m, (struct ghvm_vmid){ id }, err);
	ghvm_ledger_numbering_end(m->ledger);
	if (r == 0) {
		m->vmid_lost = false;
		m->vmid_odd.id = 0;
	}
	return r;
}

int ghvm_machine_take_back(struct ghvm_machine *m, struct ghvm_error *err)
{
	enum ghvm_vm_status status;
	int r = drop_grant(m, err);

	m->awaits_peer = false;
	ghvm_transaction_abort(m->transaction);
	if (r == 0 && m->vmid_lost)
		r = free_lost_vmids(m, err);
	if (r < 0 || !ghvm_machine_vmid(m).id)
		return r;
	reclaim_lost(m);
	r = settle_vm(m, &status, err);
	if (r < 0)
		unguard_ours(m);
	else
		ghvm_ledger_pair_leave(m->ledger, ghvm_machine_vmid(m));
	if (r == 0)
		r = take_all_back(m, err);
	if (r == 0)
		r = retire_own(m, status, err);
	if (r < 0)
		return r;
	m->n_vcpus = 0;
	m->n_doorbells = 0;
	ghvm_machine_map_clear(m);
	ghvm_machine_set_vmid(m, (struct ghvm_vmid){ 0 });
	m->undo_failed = false;
	return 0;
}

/*
 * Unpin what was taken back, although other parcels were not. A second VMID that has not been deallocated needs
 * its parcel's entry in the ledger.
 */
static void unpin_ours(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		if (m->parcels[i].state == GHVM_PARCEL_OURS && !m->parcels[i].with.id)
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
