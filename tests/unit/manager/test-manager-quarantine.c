/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests in quarantine: tried again after growing pauses, and on request; and what their name
 * may be used for meanwhile.
 */
#include "daemon/manager/recovery/quarantine.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#define RAM_PAGES 0x90
#define FIRST_MS 2
#define FAILURES_MAX 16

static const struct bench_options small = {
	.host = { .ram_size = GHVM_MIB(2) },
	.demo = { .memory = RAM_PAGES * GHVM_PAGE },
};

/**
 * struct ward - a quarantine with one guest; RM refuses to give its memory back
 * @failures: attempts that shall still fail
 * @changes: so many times its figures were told
 * @pauses: that followed each attempt, which was made @at
 */
struct ward {
	struct bench b;
	struct guest_host host;
	struct loop *loop;
	struct quarantine q;
	uint32_t message;
	unsigned int failures;
	unsigned int changes;
	unsigned int pauses[FAILURES_MAX];
	uint64_t at[FAILURES_MAX];
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void fail_again(struct ward *w)
{
	if (!w->failures)
		return;
	w->failures--;
	model_refuse(w->b.f->model, w->message, GHVM_RM_MEM_INUSE, 0);
}

static void on_changed(void *data, const char *name)
{
	struct ward *w = data;

	assert_string_equal(name, "demo");
	assert_true(w->changes < FAILURES_MAX);
	w->at[w->changes] = now_ms();
	w->pauses[w->changes++] = quarantine_pause_ms(&w->q);
	if (!w->q.first)
		loop_stop(w->loop, 1);
	else
		fail_again(w);
}

static const struct quarantine_calls calls = { .on_changed = on_changed };

static struct guest *make_guest(struct ward *w)
{
	struct guest *g;

	w->host =
		(struct guest_host){ .host = &w->b.f->host, .rm = w->b.rm, .ledger = &w->b.ledger };
	assert_int_equal(guest_new_adopted(&w->host, "demo", BENCH_INCARNATION, &g), 0);
	guest_set_machine(g, TAKE_PTR(w->b.m));
	return g;
}

/* A guest runs, and a teardown fails, as will so many more of them. */
static void ward_init(struct ward *w, uint32_t message, unsigned int failures)
{
	struct ghvm_error err = {};
	struct guest *g;

	*w = (struct ward){ .message = message, .failures = failures };
	bench_init(&w->b, &small);
	assert_int_equal(bench_run(&w->b, NULL), 0);
	g = make_guest(w);
	assert_int_equal(loop_new(&w->loop), 0);
	assert_int_equal(quarantine_init(&w->q, w->loop, &calls, w), 0);
	w->q.first_ms = FIRST_MS;
	model_refuse(w->b.f->model, message, GHVM_RM_MEM_INUSE, 0);
	assert_int_equal(guest_run_teardown(g, &err), -EREMOTEIO);
	assert_int_equal(quarantine_add(&w->q, "demo", g, &err), 0);
}

static void ward_done(struct ward *w)
{
	quarantine_done(&w->q);
	loop_free(w->loop);
	bench_assert_clean(&w->b);
	bench_done(&w->b);
}

static void pauses_grow(void **state)
{
	struct ward w;

	ward_init(&w, GHVM_RM_MEM_RECLAIM, 9);
	assert_int_equal(loop_run(w.loop), 1);
	assert_int_equal(w.changes, 11); /* when it came, nine failures, and when it went */
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(w.pauses[i], FIRST_MS << (i < 6 ? i : 6));
		if (i)
			assert_true(w.at[i] - w.at[i - 1] >= w.pauses[i - 1]);
	}
	ward_done(&w);
}

/* What an attempt has left is told with its reason. */
static void each_attempt_is_counted(void **state)
{
	struct ward w;
	const char *why;

	ward_init(&w, GHVM_RM_MEM_RECLAIM, 1);
	assert_int_equal(w.q.first->attempts, 1);
	assert_int_equal(quarantine_pages(&w.q, "demo", &why), RAM_PAGES);
	assert_non_null(strstr(why, "MEM_RECLAIM"));
	assert_int_equal(quarantine_pages(&w.q, "other", &why), 0);
	while (w.changes < 2)
		assert_true(event_base_loop(loop_base(w.loop), EVLOOP_ONCE) >= 0);
	assert_int_equal(w.q.first->attempts, 2);
	assert_int_equal(loop_run(w.loop), 1);
	assert_int_equal(quarantine_pages(&w.q, NULL, &why), 0);
	assert_string_equal(why, "");
	ward_done(&w);
}

static void a_request_does_not_wait(void **state)
{
	struct ward w;

	ward_init(&w, GHVM_RM_MEM_RECLAIM, 1);
	w.q.first_ms = 3600000;
	quarantine_retry(&w.q); /* fails, and is to be tried in an hour */
	while (w.changes < 2)
		assert_true(event_base_loop(loop_base(w.loop), EVLOOP_ONCE) >= 0);
	assert_int_equal(quarantine_pause_ms(&w.q), 3600000);
	quarantine_retry(&w.q);
	assert_int_equal(loop_run(w.loop), 1);
	ward_done(&w);
}

/* decision 13: not before RM says that the old one does not run. */
static void the_name_of_one_that_may_run(void **state)
{
	struct ghvm_error err = {};
	struct ward w;

	ward_init(&w, GHVM_RM_VM_STOP, 0);
	assert_int_equal(quarantine_check_name(&w.q, "other", &err), 0);
	assert_int_equal(quarantine_check_name(&w.q, "demo", &err), -EBUSY);
	assert_non_null(strstr(err.msg, "VM 128, may still run"));
	assert_non_null(strstr(err.msg, "VM_STOP"));
	assert_int_equal(loop_run(w.loop), 1);
	assert_int_equal(quarantine_check_name(&w.q, "demo", &err), 0);
	ward_done(&w);
}

static void the_name_of_one_that_has_ended(void **state)
{
	static const uint32_t messages[] = { GHVM_RM_VM_RESET, GHVM_RM_MEM_RECLAIM,
					     GHVM_RM_VM_DEALLOCATE };

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct ward w;

		ward_init(&w, messages[i], 0);
		assert_int_equal(quarantine_check_name(&w.q, "demo", NULL), 0);
		assert_int_equal(loop_run(w.loop), 1);
		ward_done(&w);
	}
}

/* RM cannot be asked about it, so it is there for good. */
static void pages_that_nobody_can_give_back(void **state)
{
	const struct ghvm_error bad = { .code = -EBADMSG, .msg = "its tag lies" };
	struct ghvm_error err = {};
	struct ward w;
	const char *why;

	ward_init(&w, GHVM_RM_MEM_RECLAIM, 0);
	assert_int_equal(quarantine_count(&w.q, "demo", (struct ghvm_vmid){ 0x91 }, 7, &bad), 0);
	assert_int_equal(quarantine_check_name(&w.q, "demo", &err), -EBUSY);
	assert_non_null(strstr(err.msg, "VM 145"));
	while (w.changes < 3)
		assert_true(event_base_loop(loop_base(w.loop), EVLOOP_ONCE) >= 0);
	assert_int_equal(quarantine_pages(&w.q, "demo", &why), 7);
	assert_string_equal(why, "its tag lies");
	assert_int_equal(quarantine_check_name(&w.q, "demo", &err), -EBUSY);
	ward_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_grow),
		cmocka_unit_test(each_attempt_is_counted),
		cmocka_unit_test(a_request_does_not_wait),
		cmocka_unit_test(the_name_of_one_that_may_run),
		cmocka_unit_test(the_name_of_one_that_has_ended),
		cmocka_unit_test(pages_that_nobody_can_give_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
