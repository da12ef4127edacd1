/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies that come late, or never, and queues that fail. */
#include "libghvm/rm/rpc.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "tests/fixtures/rm.h"
#include "tests/fakes/queue-peer.h"

#define ID GHVM_RM_VM_GET_STATE
#define EXITED GHVM_RM_NOTIFY_VM_EXITED

/* ---- silence ---- */

static void silence_of_a_live_rm_is_a_time_out(void **state)
{
	struct fixture *f = *state;
	size_t n = f->s->n_requests;

	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_false(ghvm_rm_dead(f->rm));
	assert_int_equal(f->s->n_requests, n + 2);
	assert_int_equal(f->s->requests[n + 1]->id, GHVM_RM_VM_GET_VMID);
	assert_int_not_equal(f->s->requests[n]->seq, f->s->requests[n + 1]->seq);
	assert_non_null(strstr(f->err.msg, "VM_GET_STATE"));

	script_answer(f->s, ID, 0, NULL, 0); /* and it goes on */
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
}

/* The reply to the first request comes with the next: it is not that one's. */
static bool answer_late(void *data, struct script_host *s, const struct script_request *r)
{
	struct script_request *first = data;

	if (r->id != ID)
		return false;
	if (!first->id) {
		*first = *r;
		return true;
	}
	script_push_reply(s, ID, first->seq, "\0\0\0\0late", 8);
	script_push_reply(s, ID, r->seq, "\0\0\0\0good", 8);
	return true;
}

static void a_stale_reply_is_not_the_next_ones(void **state)
{
	static struct script_request first;
	struct fixture *f = *state;

	first.id = 0;
	f->s->on_request = answer_late;
	f->s->data = &first;
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
	assert_memory_equal(f->g.buf, "good", 4);
}

/* RM was only slow: it answers in order when asked whether it lives. */
static bool answer_with_the_test(void *data, struct script_host *s, const struct script_request *r)
{
	struct script_request *first = data;

	if (r->id == ID) {
		*first = *r;
		return true;
	}
	script_push_reply(s, ID, first->seq, "\0\0\0\0slow", 8);
	return false;
}

static void a_late_reply_is_taken(void **state)
{
	static struct script_request first;
	struct fixture *f = *state;

	f->s->on_request = answer_with_the_test;
	f->s->data = &first;
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
	assert_memory_equal(f->g.buf, "slow", 4);
	assert_false(ghvm_rm_dead(f->rm));
}

static bool never_answer(void *data, struct script_host *s, const struct script_request *r)
{
	return true;
}

static void silence_of_a_dead_rm_is_the_end(void **state)
{
	struct fixture *f = *state;
	size_t n;

	f->s->on_request = never_answer;
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_true(ghvm_rm_dead(f->rm));
	assert_non_null(strstr(f->err.msg, "dead"));

	n = f->s->n_requests;
	f->s->on_request = NULL;
	script_answer(f->s, ID, 0, NULL, 0);
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -EHOSTDOWN);
	assert_int_equal(f->s->n_requests, n); /* nothing was sent */
}

static void a_full_queue_is_waited_for(void **state)
{
	struct fixture *f = *state;

	ghvm_rm_set_deadline(f->rm, 5000, 5000);
	f->s->full = 2;
	script_answer(f->s, ID, 0, NULL, 0);
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);

	ghvm_rm_set_deadline(f->rm, 40, 40);
	f->s->full = UINT32_MAX; /* RM does not read at all */
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_true(ghvm_rm_dead(f->rm));
}

/* A fragment that cannot be sent: RM drops the rest, so it was not executed. */
static void a_message_that_is_cut_off_was_not_sent(void **state)
{
	struct fixture *f = *state;
	uint8_t p[1000] = {};

	f->s->send_errno = -ESTALE;
	f->s->send_skip = 2;
	assert_int_equal(rm_bench_call(f, ID, p, sizeof(p)), -EHOSTDOWN);
	assert_true(ghvm_rm_dead(f->rm));
}

static void a_last_fragment_that_fails_may_be_out(void **state)
{
	struct fixture *f = *state;

	f->s->send_errno = -ESTALE;
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_true(ghvm_rm_dead(f->rm));
}

/* ---- host calls that fail once ---- */

static void fail_once(struct fixture *f, int error, unsigned int skip)
{
	f->s->send_errno = error;
	f->s->send_once = true;
	f->s->send_skip = skip;
}

/*
 * It may have been executed or not: the error does not say that it was not, and it is not sent
 * twice.
 */
static void a_send_that_fails_once_is_not_repeated(void **state)
{
	static const int errors[] = { -EIO, -EAGAIN, -ENOMEM };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		size_t n = f->s->n_requests;
		uint16_t lost;

		fail_once(f, errors[i], 0);
		assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -ETIMEDOUT);
		assert_non_null(strstr(f->err.msg, "failed"));
		assert_non_null(strstr(f->err.msg, "outcome unknown"));
		assert_false(ghvm_rm_dead(f->rm));
		assert_int_equal(f->s->n_requests, n + 1);
		assert_int_equal(script_last(f->s)->id, GHVM_RM_VM_GET_VMID);

		/* if it was executed and its reply comes now, no call takes it */
		lost = (uint16_t)(script_last(f->s)->seq - 1);
		script_push_reply(f->s, ID, lost, "\0\0\0\0old!", 8);
		script_answer(f->s, ID, 0, "new!", 4);
		assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
		assert_memory_equal(f->g.buf, "new!", 4);
	}
}

static void a_send_that_only_seemed_to_fail_has_its_answer(void **state)
{
	struct fixture *f = *state;
	size_t n = f->s->n_requests;

	fail_once(f, -EIO, 0);
	f->s->send_lies = true;
	script_answer(f->s, ID, 0, "done", 4);
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
	assert_memory_equal(f->g.buf, "done", 4);
	assert_false(ghvm_rm_dead(f->rm));
	assert_int_equal(f->s->n_requests, n + 2);
}

/* Cut off before its last packet, which RM drops: not executed, so it is sent again. */
static void a_message_that_is_cut_off_once_is_sent_again(void **state)
{
	for (unsigned int skip = 0; skip < 4; skip++) {
		struct fixture *f = *state;
		uint8_t p[1000] = {};
		size_t n = f->s->n_requests;

		for (int lies = 0; lies < 2; lies++) {
			fail_once(f, -EIO, skip);
			f->s->send_lies = lies;
			script_answer(f->s, ID, 0, "done", 4);
			assert_int_equal(rm_bench_call(f, ID, p, sizeof(p)), 0);
			assert_memory_equal(f->g.buf, "done", 4);
			assert_false(ghvm_rm_dead(f->rm));
			assert_int_equal(f->s->n_requests, n += 2);
			assert_int_equal(f->s->requests[n - 2]->id, GHVM_RM_VM_GET_VMID);
			assert_int_equal(script_last(f->s)->len, sizeof(p));
			f->s->send_lies = false;
		}
	}
}

static void sends_that_keep_failing_are_the_end(void **state)
{
	struct fixture *f = *state;
	uint8_t p[1000] = {};

	f->s->send_errno = -EIO;
	f->s->send_skip = 1;
	assert_int_equal(rm_bench_call(f, ID, p, sizeof(p)), -ETIMEDOUT);
	assert_true(ghvm_rm_dead(f->rm));
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -EHOSTDOWN);
}

static void a_receive_that_fails_once_loses_nothing(void **state)
{
	struct fixture *f = *state;

	f->s->receive_errno = -EIO;
	script_answer(f->s, ID, 0, "here", 4);
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
	assert_memory_equal(f->g.buf, "here", 4);
	assert_false(ghvm_rm_dead(f->rm));

	f->s->receive_errno = -ENODEV; /* this does not pass */
	assert_int_equal(ghvm_rm_dispatch(f->rm), -ENODEV);
	assert_true(ghvm_rm_dead(f->rm));
}

/* The host's memory comes back: RM was never dead. */
static void receives_that_fail_for_a_while_lose_nothing(void **state)
{
	static const int errors[] = { -EIO, -EAGAIN, -ENOMEM };
	struct fixture *f = *state;

	ghvm_rm_set_deadline(f->rm, 5000, 5000);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		f->s->receive_errno = errors[i];
		f->s->receive_failures = 20;
		script_answer(f->s, ID, 0, "here", 4);
		assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
		assert_memory_equal(f->g.buf, "here", 4);
		assert_false(ghvm_rm_dead(f->rm));
	}
}

static void receives_that_fail_for_good_are_the_end(void **state)
{
	struct fixture *f = *state;
	int r = 0;

	ghvm_rm_set_deadline(f->rm, 40, 40);
	f->s->receive_errno = -ENOMEM;
	f->s->receive_failures = UINT_MAX;
	for (unsigned int i = 0; i < 1000 && r == 0; i++)
		r = ghvm_rm_dispatch(f->rm);
	assert_int_equal(r, -ENOMEM);
	assert_true(ghvm_rm_dead(f->rm));
}

static void a_queue_that_lies_is_the_end(void **state)
{
	struct fixture *f = *state;

	f->s->receive_size = UINT64_MAX; /* OK, size 0 */
	assert_int_equal(ghvm_rm_dispatch(f->rm), -EPROTO);
	assert_true(ghvm_rm_dead(f->rm));
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -EHOSTDOWN);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void slow_calls_have_more_patience(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = now_ms();

	f->w.len = 0;
	assert_int_equal(ghvm_rm_call_slow(f->rm, ID, 500, &f->w, &f->g, NULL), -ETIMEDOUT);
	assert_in_range(now_ms() - begin, 560, 5000);
	begin = now_ms();
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_in_range(now_ms() - begin, 60, 550);
}

/* The process was stopped for longer than the deadline, but the reply is there. */
static bool answer_and_stop(void *data, struct script_host *s, const struct script_request *r)
{
	if (r->id != ID)
		return false;
	script_push_reply(s, ID, r->seq, "\0\0\0\0here", 8);
	usleep(80000);
	return true;
}

static void a_reply_that_waited_for_us_is_not_late(void **state)
{
	struct fixture *f = *state;
	size_t n = f->s->n_requests;

	f->s->on_request = answer_and_stop;
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
	assert_memory_equal(f->g.buf, "here", 4);
	assert_int_equal(f->s->n_requests, n + 1); /* and no test whether it lives */
}

#define T(f) cmocka_unit_test_setup_teardown(f, rm_bench_setup, rm_bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(silence_of_a_live_rm_is_a_time_out),
		T(a_stale_reply_is_not_the_next_ones),
		T(a_late_reply_is_taken),
		T(silence_of_a_dead_rm_is_the_end),
		T(a_full_queue_is_waited_for),
		T(a_message_that_is_cut_off_was_not_sent),
		T(a_last_fragment_that_fails_may_be_out),
		T(a_send_that_fails_once_is_not_repeated),
		T(a_send_that_only_seemed_to_fail_has_its_answer),
		T(a_message_that_is_cut_off_once_is_sent_again),
		T(sends_that_keep_failing_are_the_end),
		T(a_receive_that_fails_once_loses_nothing),
		T(receives_that_fail_for_a_while_lose_nothing),
		T(receives_that_fail_for_good_are_the_end),
		T(a_queue_that_lies_is_the_end),
		T(slow_calls_have_more_patience),
		T(a_reply_that_waited_for_us_is_not_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
