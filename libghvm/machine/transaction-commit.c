/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Executes a transaction: first the steps that can fail without the guest noticing, last those
 * that cannot be undone.
 *
 * pin and share added regions; recall removed ones, wait, reclaim them; announce the added ones;
 * unpin the removed ones
 *
 * If this process dies, an adopter finds the unfinished changes in the tags. It undoes all of
 * them or, once the removed regions are back, completes them (transaction-recover.c).
 *
 * Only parcel.c moves pages, so after any failure pages that RM has not confirmed stay guarded.
 * What cannot be undone stays in the machine's map and parcels as an added region: it can be
 * removed later, and teardown() takes it back.
 */
#include "libghvm/machine/transaction-internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/memory/populate.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/rpc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define POLL_FIRST_MS 1
#define POLL_LAST_MS 250 /* for guests that send no MEM_RELEASED */

static struct ghvm_parcel *parcel_of(const struct ghvm_transaction *t,
				     const struct ghvm_transaction_change *c)
{
	return ghvm_machine_added_parcel(t->m, c->add.label);
}

/* RM may have some of its pages. */
static bool is_out(const struct ghvm_parcel *p)
{
	return p && p->state > GHVM_PARCEL_GUARDED;
}

static bool is_refusal(int r, const struct ghvm_error *e, uint32_t status)
{
	return ghvm_machine_refused(r, e) && e->rm_code == status;
}

static int check_runs(struct ghvm_machine *m, struct ghvm_error *err)
{
	enum ghvm_vm_status status;
	int r = ghvm_machine_ask(m, ghvm_machine_vmid(m), &status, err);

	if (r == 0 && (status != GHVM_VM_RUNNING || !ghvm_transaction_runs(m)))
		return ghvm_error_set(err, -ESTALE, "its guest has ended");
	return r;
}

/* Notify the guest. MEM_SHARED has no addresses, so the tag tells the address. */
static int notify_guest(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
			enum ghvm_mem_notify what, struct ghvm_error *err)
{
	const uint32_t tag = (uint32_t)(c->add.ipa / GHVM_PAGE); /* below GHVM_IPA_END */
	struct ghvm_parcel *p = parcel_of(t, c);
	int r;

	if (!ghvm_transaction_runs(t->m))
		return ghvm_error_set(err, -ESTALE, "its guest has ended");
	c->told = true; /* even if RM refuses */
	r = ghvm_rm_mem_notify(t->m->rm, p->handle, what, tag, ghvm_machine_vmid(t->m), err);
	if (r == 0)
		ghvm_parcel_confirm(p);
	return r;
}

/* marks for an adopter */

/* The change with the UNDECIDED flag: marked before all others, unmarked after them. */
static struct ghvm_transaction_change *decisive_change(struct ghvm_transaction *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (!t->changes[i].removes)
			return &t->changes[i];
	return t->changes;
}

static int mark_change(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
		       struct ghvm_error *err)
{
	uint8_t change = c->removes ? GHVM_TAG_GOING : GHVM_TAG_COMING;

	if (c == decisive_change(t) && !t->decided)
		change |= GHVM_TAG_UNDECIDED;
	return ghvm_parcel_mark(parcel_of(t, c), change, err);
}

static int set_decided(struct ghvm_transaction *t, bool decided, struct ghvm_error *err)
{
	int r;

	if (t->decided == decided || !t->n)
		return 0;
	t->decided = decided;
	r = mark_change(t, decisive_change(t), err);
	if (r < 0)
		t->decided = !decided;
	return r;
}

/*
 * Remove marks that an earlier transaction could not remove: they would be taken for marks of
 * this one.
 */
static int unmark_all(struct ghvm_machine *m, struct ghvm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_parcels; i++)
		r = ghvm_parcel_mark(&m->parcels[i], 0, err);
	return r;
}

/* added regions */

static int pin_added(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
		     struct ghvm_error *err)
{
	const int memfd = c->add.memfd;
	struct ghvm_parcel_config config = {
		.label = c->add.label,
		.ipa = c->add.ipa,
		.rights = ghvm_parcel_rights(c->add.label, false, c->add.readonly),
		.only_read = c->add.readonly,
	};
	struct ghvm_parcel *p;
	int r;

	(void)snprintf(config.name, sizeof(config.name), "region %u", c->add.label); /* fits */
	memcpy(config.vm_name, t->m->plan->spec->name, sizeof(config.vm_name));
	p = ghvm_machine_added_new(t->m, &config, memfd);
	if (!p)
		return ghvm_error_set(err, -ENOSPC, "%s: the VM has its %d regions already",
				      config.name, GHVM_LEDGER_PARCELS);
	c->add.memfd = -1;
	r = mark_change(t, c, err);
	if (r < 0)
		return r;
	if (t->m->plan->spec->hugepages != GHVM_HUGEPAGES_NEVER)
		(void)ghvm_populate_memfd(memfd, c->add.size); /* errors show when pinning */
	return ghvm_parcel_pin(p, memfd, c->add.size, err);
}

static int share_added(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
		       struct ghvm_error *err)
{
	struct ghvm_parcel *p = parcel_of(t, c);
	int r = 0;

	if (p->state == GHVM_PARCEL_OURS)
		r = ghvm_parcel_guard(p, ghvm_machine_vmid(t->m), t->m->incarnation, err);
	if (r == 0)
		r = ghvm_parcel_give(p, err);
	if (r == 0)
		ghvm_machine_added_name(t->m, c->add.label, p->handle);
	return r;
}

typedef int (*change_fn)(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
			 struct ghvm_error *err);

static int for_each_change(struct ghvm_transaction *t, bool removes, change_fn fn,
			   struct ghvm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++)
		if (t->changes[i].removes == removes)
			r = fn(t, &t->changes[i], err);
	return r;
}

static int announce_added(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
			  struct ghvm_error *err)
{
	return notify_guest(t, c, GHVM_MEM_NOTIFY_SHARED, err);
}

/* ---- removed regions ---- */

static int recall_removed(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
			  struct ghvm_error *err)
{
	struct ghvm_error e = {};
	int r;

	if (parcel_of(t, c)->state != GHVM_PARCEL_SHARED)
		return 0; /* left by a failed undo */
	r = notify_guest(t, c, GHVM_MEM_NOTIFY_RECALL, &e);
	if (is_refusal(r, &e, GHVM_RM_HANDLE_INVALID))
		return 0; /* RECLAIM tells */
	if (r < 0 && err)
		*err = e;
	return r;
}

/**
 * struct collecting - the wait for the guest to release regions
 * @removes: removed regions, all or none; else added regions to be undone, one by one
 * @late: the time is up: the guest keeps what it has not released
 * @ms: time for the guest
 */
struct collecting {
	struct ghvm_transaction *t;
	bool removes;
	bool late;
	unsigned int ms;
	uint64_t deadline;
};

static bool is_held(const struct collecting *k, const struct ghvm_transaction_change *c)
{
	return ghvm_machine_added_accepted(k->t->m, c->add.label);
}

static unsigned int count_held(const struct collecting *k)
{
	unsigned int n = 0;

	for (size_t i = 0; i < k->t->n; i++) {
		const struct ghvm_transaction_change *c = &k->t->changes[i];

		n += c->removes == k->removes && is_out(parcel_of(k->t, c)) && is_held(k, c);
	}
	return n;
}

/*
 * Reclaim the regions that the guest is (not) known to hold. Return: how many are still in use;
 * or another error.
 */
static int reclaim_those(const struct collecting *k, bool held, struct ghvm_error *err)
{
	int n = 0;

	for (size_t i = 0; i < k->t->n; i++) {
		const struct ghvm_transaction_change *c = &k->t->changes[i];
		struct ghvm_parcel *p = parcel_of(k->t, c);
		struct ghvm_error e = {};
		int r;

		if (c->removes != k->removes || !is_out(p) || is_held(k, c) != held)
			continue;
		r = ghvm_parcel_reclaim(p, &e);
		if (r < 0 && err)
			*err = e;
		if (r < 0 && k->removes && !is_refusal(r, &e, GHVM_RM_MEM_INUSE))
			return r;
		n += r < 0;
	}
	return n;
}

/* Return: how many regions are not back. Reclaims nothing that would have to be given again. */
static int collect_once(const struct collecting *k, struct ghvm_error *err)
{
	int held = k->late ? reclaim_those(k, true, err) : (int)count_held(k);
	int r;

	if (held < 0 || (held && k->removes))
		return held;
	r = reclaim_those(k, false, err);
	return r < 0 ? r : r + held;
}

static int collect_released(struct collecting *k, struct ghvm_error *err)
{
	struct ghvm_machine *m = k->t->m;
	unsigned int poll_ms = POLL_FIRST_MS;

	k->deadline = ghvm_machine_now_ms() + k->ms;
	for (;;) {
		unsigned int seen =
			ghvm_machine_news(m); /* read before asking, so that no change is missed */
		uint64_t now = ghvm_machine_now_ms();
		int r;

		k->late = now >= k->deadline;
		r = collect_once(k, err);
		if (r <= 0)
			return r;
		if (k->late)
			return -ETIMEDOUT;
		r = check_runs(m, err);
		if (r == -ESTALE || r == -EHOSTDOWN || (r < 0 && k->removes))
			return r;
		ghvm_machine_wait(m, seen,
				  poll_ms < k->deadline - now ? poll_ms
							      : (unsigned int)(k->deadline - now));
		poll_ms = poll_ms * 2 < POLL_LAST_MS ? poll_ms * 2 : POLL_LAST_MS;
	}
}

static int take_removed(struct ghvm_transaction *t, unsigned int ms, struct ghvm_error *err)
{
	struct collecting k = { .t = t, .removes = true, .ms = ms };
	int r = collect_released(&k, err);

	for (size_t i = 0; r == -ETIMEDOUT && k.late && i < t->n; i++) {
		const struct ghvm_transaction_change *c = &t->changes[i];

		if (c->removes && is_out(parcel_of(t, c)))
			return ghvm_error_set(err, r,
					      "region %u: the guest has not given it up in %u ms",
					      c->add.label, ms);
	}
	return r;
}

/* ---- undo ---- */

/* Announce a recalled region again, or share it again. */
static int restore_removed(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
			   struct ghvm_error *err)
{
	struct ghvm_parcel *p = parcel_of(t, c);
	struct ghvm_error e = {};
	int r;

	if (p->state == GHVM_PARCEL_SHARED && !c->told)
		return 0;
	if (p->state == GHVM_PARCEL_SHARED) {
		r = announce_added(t, c, &e);
		if (!is_refusal(r, &e, GHVM_RM_HANDLE_INVALID)) {
			if (r < 0 && err)
				*err = e;
			return r;
		}
	}
	r = ghvm_parcel_reclaim(p, err); /* unless it is back for certain */
	if (r == 0)
		r = share_added(t, c, err);
	return r < 0 ? r : announce_added(t, c, err);
}

/* Take an added region back; on failure it stays. */
static int withdraw_added(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
			  struct ghvm_error *err)
{
	struct ghvm_parcel *p = parcel_of(t, c);
	int r;

	if (!p) { /* not pinned yet */
		ghvm_region_add_cancel(t->m->map, c->add.label);
		return 0;
	}
	r = ghvm_parcel_reclaim(p, err);
	if (r == 0)
		r = ghvm_parcel_unguard(p, err);
	if (r == 0)
		ghvm_machine_forget(t->m, p);
	else
		ghvm_region_add_end(t->m->map, c->add.label);
	return r;
}

static int recall_announced(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
			    struct ghvm_error *err)
{
	if (c->told)
		(void)recall_removed(t, c, NULL); /* the following wait shows the result */
	return 0;
}

/* Append a failure of the undo to the error. */
static void append_error(struct ghvm_error *err, const struct ghvm_transaction_change *c,
			 const struct ghvm_error *why)
{
	char text[GHVM_ERROR_TEXT];

	if (!err)
		return;
	memcpy(text, err->msg, sizeof(text));
	(void)snprintf(err->msg, sizeof(err->msg), "%.300s; region %u could not be %s: %.120s",
		       text, c->add.label, c->removes ? "given back to the guest" : "taken back",
		       why->msg);
}

static void undo_one(struct ghvm_transaction *t, struct ghvm_transaction_change *c,
		     struct ghvm_error *err)
{
	struct ghvm_error why = {};
	int r = c->removes ? restore_removed(t, c, &why) : withdraw_added(t, c, &why);
	struct ghvm_parcel *p = parcel_of(t, c);

	if (c->removes)
		ghvm_region_remove_cancel(t->m->map, c->add.label);
	if (p)
		(void)ghvm_parcel_mark(p, 0, NULL); /* it stays; the next commit retries */
	if (r < 0 && r != -ESTALE)		    /* the guest has ended: teardown follows */
		append_error(err, c, &why);
}

static void undo_changes(struct ghvm_transaction *t, unsigned int ms, struct ghvm_error *err)
{
	struct ghvm_transaction_change *last = decisive_change(t);
	struct collecting k = { .t = t, .ms = ms };

	(void)set_decided(t, false, NULL); /* on failure an adopter completes the rest */
	(void)for_each_change(t, false, recall_announced, NULL); /* never fails */
	(void)collect_released(&k, NULL); /* regions not back are handled below */
	for (size_t i = 0; i < t->n; i++)
		if (&t->changes[i] != last)
			undo_one(t, &t->changes[i], err);
	if (t->n)
		undo_one(t, last, err);
}

/* the whole commit */

static void finish_commit(struct ghvm_transaction *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct ghvm_transaction_change *c = &t->changes[i];
		struct ghvm_parcel *p = parcel_of(t, c);

		if (!c->removes) {
			ghvm_region_add_end(t->m->map, c->add.label);
			(void)ghvm_parcel_mark(p, 0, NULL); /* the next commit retries */
		} else if (ghvm_parcel_unguard(p, NULL) == 0) {
			ghvm_machine_forget(t->m, p);
		} /* else it stays in state REMOVING until teardown() */
	}
}

static int carry_out(struct ghvm_transaction *t, unsigned int ms, struct ghvm_error *err)
{
	int r = check_runs(t->m, err);

	if (r == 0)
		r = unmark_all(t->m, err);
	if (r == 0)
		r = for_each_change(t, false, pin_added, err);
	if (r == 0)
		r = for_each_change(t, false, share_added, err);
	if (r == 0)
		r = for_each_change(t, true, mark_change, err);
	if (r == 0)
		r = for_each_change(t, true, recall_removed, err);
	if (r == 0)
		r = take_removed(t, ms, err);
	if (r == 0)
		r = set_decided(t, true, err);
	return r < 0 ? r : for_each_change(t, false, announce_added, err);
}

static int carry_out_or_undo(struct ghvm_transaction *t, unsigned int ms, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(t->m->rm, t->m->name);
	int r = carry_out(t, ms, err);

	if (r == 0)
		finish_commit(t);
	else
		undo_changes(t, ms, err);
	return r;
}

int ghvm_transaction_commit(struct ghvm_transaction *t, unsigned int ms, struct ghvm_error *err)
{
	int r;

	if (!t->m)
		return ghvm_error_set(err, -ESTALE, "its guest has ended");
	r = carry_out_or_undo(t, ms, err);
	for (size_t i = 0; i < t->n; i++)
		closep(&t->changes[i].add.memfd);
	t->n = 0;
	return r;
}
