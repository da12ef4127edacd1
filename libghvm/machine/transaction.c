/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions: regions that are added to, and removed from, a guest that runs.
 *
 * A transaction has a list of changes, each of which adds or removes one region. All of them
 * happen or none does. There are two halves:
 *
 * - Until the commit (this file) changes are checked and reserved in the machine's map. No page
 *   is pinned and RM is not called, so there is nothing to undo.
 *
 * - The commit (transaction-commit.c) does first what can fail without the guest noticing, and
 *   last what cannot be undone:
 *
 *	   what comes                     what goes
 *	1. mark, pin, guard, share
 *	2.                                mark, recall, wait for the guest, reclaim
 *	3. -------- decided: from here on a successor finishes it and does not undo it --------
 *	4. tell the guest
 *	5. end the marks                  clear the guard, unpin
 *
 *   A failure undoes everything: what comes is taken back, and what goes is given and announced
 *   again. Before 3 the guest has not heard of what comes, so it cannot be using it; after 3 all
 *   that goes is back. So a successor, which cannot wait for the guest, never has to.
 *
 * The marks are flags of the tags in the module: COMING, GOING, and on one region UNDECIDED. If
 * the process dies, its successor reads them and undoes all while a region is UNDECIDED, or else
 * finishes all (transaction-recover.c, decision 35). The region that is UNDECIDED is marked first
 * and loses its mark last.
 *
 * Pages move by parcel.c alone and by its rules. What an undo cannot take back stays guarded, in
 * the machine's map as a region that was added: it can be removed by a later transaction, and a
 * teardown reclaims it.
 */
#include "libghvm/machine/transaction-internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

bool ghvm_transaction_runs(struct ghvm_machine *m)
{
	bool r;

	(void)pthread_mutex_lock(&m->lock); /* cannot fail */
	r = m->vmid.id && m->started && !m->exited;
	(void)pthread_mutex_unlock(&m->lock);
	return r;
}

int ghvm_transaction_new(struct ghvm_machine *m, struct ghvm_transaction **ret,
			 struct ghvm_error *err)
{
	struct ghvm_transaction *t;

	if (!m->plan || !m->plan->spec->rm_rpc)
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "its guest has no resource manager node (kernel.rm-rpc), so "
				      "memory cannot be announced to it");
	if (!ghvm_transaction_runs(m))
		return ghvm_error_set(err, -EBUSY, "its guest does not run");
	if (m->transaction)
		return ghvm_error_set(err, -EALREADY, "it has an open transaction already");
	t = calloc(1, sizeof(*t));
	if (!t)
		return ghvm_error_set(err, -ENOMEM, "out of memory");
	t->m = m;
	m->transaction = t;
	*ret = t;
	return 0;
}

/* adding changes */

static int check_open(const struct ghvm_transaction *t, struct ghvm_error *err)
{
	if (!t->m)
		return ghvm_error_set(err, -ESTALE, "its guest has ended");
	if (t->n == ARRAY_SIZE(t->changes))
		return ghvm_error_set(err, -E2BIG, "a transaction has at most %d changes",
				      GHVM_TRANSACTION_CHANGES_MAX);
	return 0;
}

static int check_place(const struct ghvm_transaction_add *a, struct ghvm_error *err)
{
	if (a->label == GHVM_LABEL_RAM || a->label > GHVM_LABEL_LAST)
		return ghvm_error_set(err, -EINVAL, "region %u: the label is reserved", a->label);
	if (a->ipa < GHVM_IPA_REGIONS)
		return ghvm_error_set(err, -EINVAL,
				      "region %u: 0x%" PRIx64
				      " is in the range of devices, which ends at "
				      "0x%llx",
				      a->label, a->ipa, GHVM_IPA_REGIONS);
	return 0;
}

/* A memfd that shrinks would take pages from the guest and kill processes that access them. */
static int check_memfd(const struct ghvm_transaction_add *a, struct ghvm_error *err)
{
	int seals = fcntl(a->memfd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || fstat(a->memfd, &st) < 0)
		return ghvm_error_set(err, -EBADF, "region %u: its memory is not a memfd",
				      a->label);
	if ((seals & SEALS) != SEALS)
		return ghvm_error_set(err, -EPERM,
				      "region %u: its memfd is not sealed against shrinking and "
				      "growing",
				      a->label);
	if (!a->readonly && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return ghvm_error_set(
			err, -EPERM,
			"region %u: its memfd is sealed against writing: the guest may "
			"only read it (readonly)",
			a->label);
	if (st.st_size < 0 || a->size > (uint64_t)st.st_size)
		return ghvm_error_set(err, -E2BIG,
				      "region %u: 0x%" PRIx64 " bytes are more than the 0x%" PRIx64
				      " of its memfd",
				      a->label, a->size, (uint64_t)st.st_size);
	return 0;
}

static int reserve_region(struct ghvm_transaction *t, const struct ghvm_transaction_add *a,
			  struct ghvm_error *err)
{
	const struct ghvm_region_request q = {
		.ipa = a->ipa,
		.size = a->size,
		.label = a->label,
		.kind = GHVM_REGION_SHARED,
		.readonly = a->readonly,
	};

	return ghvm_region_add_begin(t->m->map, &q, err);
}

int ghvm_transaction_add(struct ghvm_transaction *t, const struct ghvm_transaction_add *a,
			 struct ghvm_error *err)
{
	_cleanup_(closep) int memfd = -1;
	struct ghvm_transaction_change *c;
	int r = check_open(t, err);

	if (r == 0)
		r = check_place(a, err);
	if (r == 0)
		r = check_memfd(a, err);
	if (r < 0)
		return r;
	memfd = fcntl(a->memfd, F_DUPFD_CLOEXEC, 3);
	if (memfd < 0)
		return ghvm_error_set(err, -errno, "region %u: cannot duplicate its memfd: %s",
				      a->label, strerror(errno));
	r = reserve_region(t, a, err);
	if (r < 0)
		return r;
	c = &t->changes[t->n++];
	*c = (struct ghvm_transaction_change){ .add = *a };
	c->add.memfd = TAKE_FD(memfd);
	return 0;
}

int ghvm_transaction_remove(struct ghvm_transaction *t, uint32_t label, struct ghvm_error *err)
{
	struct ghvm_transaction_change *c;
	struct ghvm_region region;
	int r = check_open(t, err);

	if (r == 0)
		r = ghvm_region_remove_begin(t->m->map, label, &region, err);
	if (r < 0)
		return r;
	if (!ghvm_machine_added_parcel(t->m, label)) {
		ghvm_region_remove_cancel(t->m->map, label);
		return ghvm_error_set(err, -EPERM,
				      "region %u: it is part of the VM and cannot be removed",
				      label);
	}
	c = &t->changes[t->n++];
	*c = (struct ghvm_transaction_change){ .removes = true };
	c->add = (struct ghvm_transaction_add){
		.label = label,
		.ipa = region.first,
		.size = region.last - region.first + 1,
		.readonly = region.readonly,
		.memfd = -1,
	};
	return 0;
}

/* end without a commit */

static void release_changes(struct ghvm_transaction *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct ghvm_transaction_change *c = &t->changes[i];

		if (c->removes)
			ghvm_region_remove_cancel(t->m->map, c->add.label);
		else
			ghvm_region_add_cancel(t->m->map, c->add.label);
		closep(&c->add.memfd);
	}
	t->n = 0;
}

void ghvm_transaction_abort(struct ghvm_transaction *t)
{
	if (!t)
		return;
	release_changes(t);
	t->m->transaction = NULL;
	t->m = NULL;
}

void ghvm_transaction_free(struct ghvm_transaction *t)
{
	if (!t)
		return;
	if (t->m)
		ghvm_transaction_abort(t);
	free(t);
}

void ghvm_transaction_freep(struct ghvm_transaction **t)
{
	ghvm_transaction_free(*t);
}

/* JSON */

static void json_regions(struct ghvm_json *j, const struct ghvm_transaction *t, bool removes)
{
	ghvm_json_open(j, removes ? "remove" : "add", '[');
	for (size_t i = 0; i < t->n; i++) {
		const struct ghvm_transaction_add *a = &t->changes[i].add;

		if (t->changes[i].removes != removes)
			continue;
		ghvm_json_open(j, NULL, '{');
		ghvm_json_number(j, "label", a->label);
		ghvm_json_number(j, "ipa", a->ipa);
		ghvm_json_number(j, "size", a->size);
		ghvm_json_bool(j, "readonly", a->readonly);
		ghvm_json_close(j, '}');
	}
	ghvm_json_close(j, ']');
}

/**
 * struct stage - one step of a commit, done with all added or all removed regions
 * @id: message id, 0: no message
 * @times: how often it is sent: RECLAIM takes two answers (parcel.h)
 */
struct stage {
	const char *name;
	uint32_t id;
	unsigned int times;
	bool removes;
};

/* The order of transaction-commit.c. */
static const struct stage stages[] = {
	{ "PIN", 0, 0, false },
	{ "SHARE", GHVM_RM_MEM_SHARE, 1, false },
	{ "RECALL", GHVM_RM_MEM_NOTIFY, 1, true },
	{ "RECLAIM", GHVM_RM_MEM_RECLAIM, 2, true },
	{ "TELL", GHVM_RM_MEM_NOTIFY, 1, false },
	{ "UNPIN", 0, 0, true },
};

static size_t stage_messages(const struct ghvm_transaction *t, const struct stage *s,
			     const struct ghvm_transaction_add *a, struct ghvm_plan_message ret[2])
{
	struct ghvm_plan_parcel p = { .size = a->size };

	if (s->id != GHVM_RM_MEM_SHARE) {
		ret[0] = (struct ghvm_plan_message){ s->id, 0, s->times, s->times };
		return s->id != 0;
	}
	ghvm_plan_parcel_forecast(&p, GHVM_HUGEPAGES_AUTO);
	return ghvm_plan_parcel_messages(t->m->plan->quirks, s->id, &p, ret);
}

size_t ghvm_transaction_messages(const struct ghvm_transaction *t,
				 struct ghvm_plan_message ret[GHVM_TRANSACTION_MESSAGES_MAX])
{
	size_t n = 0, step = 0, end;

	for (size_t k = 0; t->m && k < ARRAY_SIZE(stages); k++) {
		for (size_t i = 0; i < t->n; i++) {
			if (t->changes[i].removes != stages[k].removes)
				continue;
			end = n + stage_messages(t, &stages[k], &t->changes[i].add, ret + n);
			for (; n < end; n++)
				ret[n].step = step;
			step++;
		}
	}
	return n;
}

static void json_steps(struct ghvm_json *j, const struct ghvm_transaction *t)
{
	struct ghvm_plan_message v[GHVM_TRANSACTION_MESSAGES_MAX];
	size_t n = ghvm_transaction_messages(t, v), at = 0, step = 0;

	ghvm_json_open(j, "steps", '[');
	for (size_t k = 0; t->m && k < ARRAY_SIZE(stages); k++) {
		for (size_t i = 0; i < t->n; i++) {
			size_t from = at;

			if (t->changes[i].removes != stages[k].removes)
				continue;
			ghvm_json_open(j, NULL, '{');
			ghvm_json_text(j, "step", stages[k].name);
			ghvm_json_number(j, "label", t->changes[i].add.label);
			while (at < n && v[at].step == step)
				at++;
			ghvm_plan_messages_to_json(j, v + from, at - from);
			ghvm_json_close(j, '}');
			step++;
		}
	}
	ghvm_json_close(j, ']');
}

char *ghvm_transaction_to_json(const struct ghvm_transaction *t)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct ghvm_json j = { .to = f, .first = true };

	if (!f)
		return NULL;
	ghvm_json_open(&j, NULL, '{');
	ghvm_json_number(&j, "version", 1);
	json_regions(&j, t, false);
	json_regions(&j, t, true);
	json_steps(&j, t);
	ghvm_json_close(&j, '}');
	fputc('\n', f);
	return ghvm_file_text(f, &text);
}
