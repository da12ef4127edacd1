/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A transaction with everything that can fail failing once: every host call, every message
 * of the resource manager with every status, every reply missing, RM dying. Afterwards it has
 * happened, or everything is as before it, and can be changed as before; or the error says what
 * is not, and a teardown gives all back. Meanwhile the fake watches each page (tests/fakes/rm.h).
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/rpc.h"
#include "tests/fixtures/region.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MS 30 /* of a guest that is asked for a region */
#define POINTS_MAX 1000

enum fault {
	FAULT_HOST_CALL,
	FAULT_REFUSE,
	FAULT_MUTE,
};

/**
 * struct sweep - what is disturbed, and how
 * @guest: what it does with a recall
 */
struct sweep {
	const char *what;
	struct bench_options options;
	enum bench_guest guest;
	enum fault fault;
	uint32_t status;
};

/* How it was with all the points of a sweep. */
struct tally {
	unsigned int points;
	unsigned int done;
	unsigned int as_before;
	unsigned int otherwise;
};

/* 7 and 8 are there; 9 and 10 are to come for 7. */
static void prepare(struct bench *b, const struct sweep *s)
{
	struct ghvm_error err = {};

	bench_init(b, &s->options);
	b->guest_does = BENCH_GUEST_SERVES;
	if (bench_run(b, &err) < 0)
		fail_msg("%s", err.msg);
	regions_must_change(b, 7, 0);
	regions_must_change(b, 8, 0);
	assert_true(regions_look(b, 7).accepted && regions_look(b, 8).accepted);
	b->guest_does = s->guest;
}

static int change(struct bench *b, struct ghvm_error *err)
{
	_cleanup_(ghvm_transaction_freep) struct ghvm_transaction *t = regions_begin(b);

	regions_add(t, 9);
	regions_add(t, 10);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	return ghvm_transaction_commit(t, MS, err);
}

static void arm(struct bench *b, const struct sweep *s, unsigned int nth)
{
	switch (s->fault) {
	case FAULT_HOST_CALL:
		b->f->fail_at = b->f->calls + nth;
		break;
	case FAULT_REFUSE:
		model_refuse(b->f->model, 0, s->status, nth - 1);
		break;
	case FAULT_MUTE:
		model_mute(b->f->model, 0, nth - 1);
		break;
	}
}

/* What was armed and did not strike must not strike later. */
static void disarm(struct bench *b)
{
	b->f->fail_at = 0;
	model_refuse(b->f->model, 0, 0, UINT32_MAX);
	model_mute(b->f->model, 0, UINT32_MAX);
}

/* Exactly these of 7 to 10 are there, as bits. */
static unsigned int regions_now(struct bench *b)
{
	struct ghvm_machine_region v[32];
	size_t n = ghvm_machine_regions(b->m, v, ARRAY_SIZE(v));
	unsigned int set = 0;

	for (size_t i = 0; i < n; i++)
		if (v[i].label >= 7 && v[i].label <= 10)
			set |= 1U << v[i].label;
	return set;
}

#define BEFORE (1U << 7 | 1U << 8)
#define AFTER (1U << 8 | 1U << 9 | 1U << 10)

/* RM, the module and the guest agree with the map. */
static bool agrees(struct bench *b, unsigned int n)
{
	struct ghvm_machine_region v[32];
	size_t count = ghvm_machine_regions(b->m, v, ARRAY_SIZE(v));

	if (count != n + 2 || fake_rm_counts(b->f).parcels != n + 2 ||
	    fake_rm_pins(b->f) != n + 2 || fake_rm_guarded(b->f) != n + 2)
		return false;
	for (size_t i = 0; i < count; i++)
		if (v[i].removing)
			return false;
	return true;
}

static void check(struct bench *b, int r, const struct ghvm_error *err, struct tally *tally)
{
	const bool undone = !strstr(err->msg, "could not be");
	const unsigned int now = regions_now(b);

	tally->points++;
	if (r == 0) {
		assert_int_equal(now & AFTER, AFTER);
		tally->done += now == AFTER;
		tally->otherwise += now != AFTER; /* 7 is not unpinned yet */
		return;
	}
	if (!undone || ghvm_rm_dead(b->rm)) {
		tally->otherwise++;
		return;
	}
	assert_int_equal(now, BEFORE);
	assert_true(agrees(b, 2));
	tally->as_before++;
}

/* As before means: 7 can go, and 9 can come. */
static void use_it(struct bench *b)
{
	if (ghvm_rm_dead(b->rm) || regions_now(b) != BEFORE)
		return;
	b->guest_does = BENCH_GUEST_SERVES;
	regions_must_change(b, 9, 7);
	assert_int_equal(regions_now(b), 1U << 8 | 1U << 9);
	assert_true(agrees(b, 2));
}

static void give_back(struct bench *b)
{
	struct ghvm_error err = {};
	int r = 0;

	if (ghvm_rm_dead(b->rm)) /* for this process: the next one finds the rest */
		r = bench_recover(b, &err);
	else
		r = ghvm_machine_teardown(b->m, &err);
	if (r < 0)
		fail_msg("%s", err.msg);
	bench_assert_clean(b);
}

/* False: there are not so many points. */
static bool try_point(const struct sweep *s, unsigned int nth, struct tally *tally)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	unsigned long calls;
	size_t sent;
	bool beyond;
	int r;

	prepare(&b, s);
	calls = b.f->calls;
	sent = b.f->n_sent;
	arm(&b, s, nth);
	r = change(&b, &err);
	beyond = s->fault == FAULT_HOST_CALL ? b.f->calls - calls < nth : b.f->n_sent - sent < nth;
	disarm(&b);
	if (beyond)
		return false;
	check(&b, r, &err, tally);
	use_it(&b);
	give_back(&b);
	return true;
}

static void sweep(const struct sweep *s)
{
	struct tally t = {};

	while (t.points < POINTS_MAX && try_point(s, t.points + 1, &t))
		;
	print_message("%s: %u points, %u done, %u as before, %u otherwise\n", s->what, t.points,
		      t.done, t.as_before, t.otherwise);
	assert_in_range(t.points, 5, POINTS_MAX - 1);
	assert_true(t.as_before > 0);
}

static struct bench_options plain(void)
{
	return regions_options;
}

static struct bench_options scattered(void)
{
	struct bench_options o = regions_options;

	o.host.chunk_pages = 1;
	return o;
}

static struct bench_options hurried(void)
{
	struct bench_options o = regions_options;

	o.patience_ms = 5;
	return o;
}

static struct bench_options assigning(void)
{
	struct bench_options o = regions_options;

	o.host.assigns = true;
	return o;
}

static void every_host_call_fails(void **state)
{
	const struct sweep v[] = {
		{ "host calls", plain(), BENCH_GUEST_SERVES, FAULT_HOST_CALL, 0 },
		{ "host calls, scattered", scattered(), BENCH_GUEST_SERVES, FAULT_HOST_CALL, 0 },
		{ "host calls, assigning", assigning(), BENCH_GUEST_SERVES, FAULT_HOST_CALL, 0 },
		{ "host calls, a guest that is silent", plain(), BENCH_GUEST_SILENT,
		  FAULT_HOST_CALL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		sweep(&v[i]);
}

static void every_message_is_refused_with_every_status(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bench_statuses); i++) {
		struct sweep s = { .options = plain(), .guest = BENCH_GUEST_SERVES };
		char what[48];

		(void)snprintf(what, sizeof(what), "messages refused with 0x%x", bench_statuses[i]);
		s.what = what;
		s.fault = FAULT_REFUSE;
		s.status = bench_statuses[i];
		sweep(&s);
	}
}

static void every_reply_goes_missing(void **state)
{
	const struct sweep v[] = {
		{ "replies missing", hurried(), BENCH_GUEST_SERVES, FAULT_MUTE, 0 },
		{ "replies missing, a guest that keeps", hurried(), BENCH_GUEST_KEEPS, FAULT_MUTE,
		  0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		sweep(&v[i]);
}

/* An on_leave: RM is dead from some message on. */
struct death {
	struct bench *b;
	size_t at;
};

static void let_rm_die(void *data)
{
	const struct death *d = data;

	if (d->b->f->n_sent >= d->at)
		model_kill_rm(d->b->f->model);
	else
		guest_mem_serve(&d->b->guest, false, false);
}

/*
 * RM does not answer from the nth message on: its state stays unknown, so every page that
 * the guest was given stays guarded, and goes to the quarantine with its tag.
 */
static void rm_dies(void **state)
{
	unsigned int points = 0;
	bool died = true;

	for (; died; points++) {
		const struct sweep s = { .options = hurried(), .guest = BENCH_GUEST_DEAF };
		struct death d = {}; /* outlives the bench, which calls until its end */
		_cleanup_(bench_done) struct bench b;
		struct ghvm_error err = {};

		prepare(&b, &s);
		ghvm_rm_set_deadline(b.rm, 5, 20); /* the fake answers within the call */
		d.b = &b;
		d.at = b.f->n_sent + points + 1;
		b.f->on_leave = let_rm_die;
		b.f->on_leave_data = &d;
		(void)change(&b, &err);
		died = fake_rm_counts(b.f).rm_dead;
		assert_true(ghvm_machine_teardown(b.m, &err) < 0 || !died);
		/* RAM, the window, 8; and 7, unless it was all over */
		assert_true(!died || fake_rm_guarded(b.f) >= 3 + (points < 4));
		ghvm_machine_free(TAKE_PTR(b.m));
		assert_true(!died || fake_rm_quarantined(b.f) >= 3 + (points < 4));
	}
	print_message("RM dead: %u points\n", points - 1);
	assert_true(points > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_host_call_fails),
		cmocka_unit_test(every_message_is_refused_with_every_status),
		cmocka_unit_test(every_reply_goes_missing),
		cmocka_unit_test(rm_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
