/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connecting, and calls that do not get the expected answer. */
#include "libghvm/rm/rpc.h"

#include <errno.h>
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
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "tests/fixtures/rm.h"
#include "tests/fakes/queue-peer.h"

#define ID GHVM_RM_VM_GET_STATE
#define EXITED GHVM_RM_NOTIFY_VM_EXITED

/* ---- connecting ---- */

static void learns_who_we_are(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ghvm_rm_vmid(f->rm).id, SCRIPT_VMID);
	assert_false(ghvm_rm_dead(f->rm));
	assert_int_equal(f->s->n_requests, 1);
	assert_int_equal(script_last(f->s)->id, GHVM_RM_VM_GET_VMID);
	assert_int_equal(script_last(f->s)->len, 0);
	assert_int_equal(ghvm_rm_fd(f->rm), f->s->rx_event);
}

/* abi K.1: stale replies of a killed predecessor, and notifications it never read. */
static void drains_what_a_predecessor_left(void **state)
{
	static const uint8_t stale[8] = { 0, 0, 0, 0, 99 };
	static const uint8_t exited[8] = { 0x80, 0, 1, 0 };
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;
	struct fixture f = {};

	for (uint16_t seq = 0; seq < 8; seq++)
		script_push_reply(s, GHVM_RM_VM_GET_VMID, seq, stale, sizeof(stale));
	script_push_notification(s, EXITED, 5, exited, sizeof(exited));
	script_push_notification(s, GHVM_RM_NOTIFY_VM_STATUS, 6, exited, sizeof(exited));
	assert_int_equal(ghvm_rm_new(&s->host, &rm, NULL), 0);
	assert_int_equal(ghvm_rm_vmid(rm).id, SCRIPT_VMID);

	/* There was no handler yet: the first dispatch delivers them, in order, once. */
	ghvm_rm_set_on_notify(rm, rm_bench_on_notify, &f);
	assert_int_equal(f.notified, 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = ghvm_rm_fd(rm), .events = POLLIN }, 1, 0), 1);
	assert_int_equal(ghvm_rm_dispatch(rm), 0);
	assert_int_equal(f.notified, 2);
	assert_int_equal(f.last_id, GHVM_RM_NOTIFY_VM_STATUS);
	assert_int_equal(ghvm_rm_dispatch(rm), 0);
	assert_int_equal(f.notified, 2);
}

/* More than can be kept: the oldest are, and nothing breaks. */
static void the_backlog_is_bounded(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;
	struct fixture f = {};

	assert_int_equal(ghvm_rm_new(&s->host, &rm, NULL), 0);
	for (uint32_t i = 0; i < 600; i++)
		script_push_notification(s, i, 0, NULL, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ghvm_rm_dispatch(rm), 0);
	ghvm_rm_set_on_notify(rm, rm_bench_on_notify, &f);
	assert_int_equal(ghvm_rm_dispatch(rm), 0);
	assert_int_equal(f.notified, 512);
	assert_int_equal(f.last_id, 511);
}

static unsigned int random_flags;

/* In place of the C library's. */
ssize_t getrandom(void *buf, size_t size, unsigned int flags)
{
	random_flags = flags;
	return syscall(SYS_getrandom, buf, size, flags);
}

/* Early in a boot the kernel has no entropy yet, and a VM's start would wait for it. */
static void connecting_does_not_wait_for_entropy(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;

	assert_int_equal(ghvm_rm_new(&s->host, &rm, NULL), 0);
	assert_int_equal(random_flags, GRND_INSECURE);
}

static void sequence_numbers_differ_between_connections(void **state)
{
	uint16_t seq[4];

	for (int i = 0; i < 4; i++) {
		_cleanup_(script_host_freep) struct script_host *s = script_host_new();
		_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;

		assert_int_equal(ghvm_rm_new(&s->host, &rm, NULL), 0);
		seq[i] = script_last(s)->seq;
	}
	assert_false(seq[0] == seq[1] && seq[1] == seq[2] && seq[2] == seq[3]);
}

static void connecting_fails(void **state)
{
	static const uint8_t huge[] = { 0, 0, 1, 0 };
	struct ghvm_rm *rm = NULL;
	struct ghvm_error err = {};

	for (int i = 0; i < 5; i++) {
		_cleanup_(script_host_freep) struct script_host *s = script_host_new();
		static const int expected[] = { -EBUSY, -EREMOTEIO, -EBADMSG, -EBADMSG, -ENODEV };

		if (i == 0)
			s->irq_errno = -EBUSY;
		if (i == 1)
			s->send_status = 53;
		if (i == 2)
			script_answer(s, GHVM_RM_VM_GET_VMID, GHVM_RM_UNIMPLEMENTED, NULL, 0);
		if (i == 3)
			script_answer(s, GHVM_RM_VM_GET_VMID, 0, huge, sizeof(huge));
		if (i == 4)
			s->info.flags = 0;
		assert_int_equal(ghvm_rm_new(&s->host, &rm, &err), expected[i]);
		assert_null(rm);
		assert_int_equal(err.code, expected[i]);
		assert_true(strlen(err.msg) > 10);
		assert_int_equal(s->rx_event, -1); /* let go again */
	}
}

/* ---- one call ---- */

static void a_call_and_its_reply(void **state)
{
	static const uint8_t req[4] = { 0x80, 0, 0, 0 };
	static const uint8_t reply[4] = { 3, 4, 5, 0 };
	struct fixture *f = *state;

	script_answer(f->s, ID, 0, reply, sizeof(reply));
	assert_int_equal(rm_bench_call(f, ID, req, sizeof(req)), 0);
	assert_int_equal(script_last(f->s)->id, ID);
	assert_int_equal(script_last(f->s)->len, 4);
	assert_memory_equal(script_last(f->s)->payload, req, 4);
	assert_int_equal(f->g.len, 4);
	assert_memory_equal(f->g.buf, reply, 4);
	assert_true(f->g.buf >= f->buf && f->g.buf < f->buf + sizeof(f->buf));
}

static void refusals_keep_their_status(void **state)
{
	struct fixture *f = *state;

	script_answer(f->s, ID, GHVM_RM_NORESOURCE, NULL, 0);
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -EREMOTEIO);
	assert_int_equal(f->err.rm_message, ID);
	assert_int_equal(f->err.rm_code, GHVM_RM_NORESOURCE);

	script_answer(f->s, ID, GHVM_RM_UNIMPLEMENTED, "more", 4);
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -EREMOTEIO);
	assert_int_equal(f->err.rm_code, GHVM_RM_UNIMPLEMENTED);

	script_answer(f->s, ID, GHVM_RM_DENIED, NULL, 0);
	f->w.len = 0;
	assert_int_equal(ghvm_rm_call(f->rm, ID, &f->w, &f->g, NULL), -EREMOTEIO);
}

static void replies_without_a_status_are_malformed(void **state)
{
	struct fixture *f = *state;

	for (size_t n = 0; n < 4; n++) {
		script_answer(f->s, ID, -1, "\0\0\0", n);
		assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -EBADMSG);
		assert_false(ghvm_rm_dead(f->rm));
	}
}

/* Requests and replies of every interesting size, in fragments. */
static void messages_are_fragmented(void **state)
{
	static const size_t sizes[] = { 0, 1, 231, 232, 233, 464, 465, 8216, 14383, 14384 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_(freep) uint8_t *req = rm_bench_pattern(sizes[i]);
		size_t back = sizes[i] < 14380 ? sizes[i] : 14380;
		unsigned int pushes = f->s->pushes;

		script_answer(f->s, ID, 0, req, back);
		assert_int_equal(rm_bench_call(f, ID, req, sizes[i]), 0);
		assert_int_equal(script_last(f->s)->len, sizes[i]);
		assert_memory_equal(script_last(f->s)->payload, req, sizes[i]);
		assert_int_equal(script_last(f->s)->packets, sizes[i] ? (sizes[i] + 231) / 232 : 1);
		assert_int_equal(f->s->pushes - pushes, 1); /* the last packet only */
		assert_int_equal(f->g.len, back);
		assert_memory_equal(f->g.buf, req, back);
	}
}

static void what_is_too_long_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) uint8_t *p = rm_bench_pattern(14616);
	uint8_t longer[GHVM_RM_MSG_MAX + 1] = {};
	struct ghvm_put w = { .buf = longer, .cap = sizeof(longer), .len = sizeof(longer) };
	size_t n = f->s->n_requests;

	assert_int_equal(ghvm_rm_call(f->rm, ID, &w, &f->g, &f->err), -EMSGSIZE);
	w.len = 4;
	w.bad = true;
	assert_int_equal(ghvm_rm_call(f->rm, ID, &w, &f->g, NULL), -EMSGSIZE);
	assert_int_equal(f->s->n_requests, n);

	memset(p, 0, 4);
	script_answer(f->s, ID, -1, p, 14616); /* no room for it: not written past the end */
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), -EBADMSG);
	script_answer(f->s, ID, -1, p, 14384);
	assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
	assert_int_equal(f->g.len, 14380);
}

/* ---- what comes instead of, or besides, the reply ---- */

enum nonsense {
	BAD_TYPE,
	BAD_SEQ,
	BAD_ID,
	SHORT_PACKETS,
	STRAY,
	INTERLEAVED,
	DUPLICATE,
	N_NONSENSE
};

static void play_nonsense(struct script_host *s, const struct script_request *r, enum nonsense what)
{
	static const uint8_t wrong[8] = { 0, 0, 0, 0, 0xbd };
	static const uint8_t right[8] = { 0, 0, 0, 0, 1, 2, 3, 4 };
	uint8_t p[240];
	size_t n;

	switch (what) {
	case BAD_TYPE: /* RM's own counter may be equal to our number: abi C.2 */
		script_push_notification(s, r->id, r->seq, wrong, 8);
		n = script_packet(p, 1, 0, r->seq, r->id, wrong, 8);
		script_push_raw(s, p, n);
		break;
	case BAD_SEQ:
		script_push_reply(s, r->id, (uint16_t)(r->seq + 1), wrong, 8);
		script_push_reply(s, r->id, (uint16_t)(r->seq - 1), wrong, 8);
		break;
	case BAD_ID:
		script_push_reply(s, r->id + 1, r->seq, wrong, 8);
		break;
	case SHORT_PACKETS:
		n = script_packet(p, 2, 0, r->seq, r->id, NULL, 0);
		for (size_t i = 1; i < n; i++)
			script_push_raw(s, p, i);
		p[0] = 0x31;
		script_push_raw(s, p, n);
		break;
	case STRAY:
		n = script_packet(p, 0, 1, r->seq, r->id, wrong, 8);
		script_push_raw(s, p, n);
		n = script_packet(p, 2, 1, r->seq, r->id, wrong, 8); /* never continued */
		script_push_raw(s, p, n);
		break;
	case INTERLEAVED:
		n = script_packet(p, 2, 1, r->seq, r->id, right, 5);
		script_push_raw(s, p, n);
		script_push_notification(s, EXITED, r->seq, wrong, 8);
		n = script_packet(p, 0, 1, r->seq, r->id, right + 5, 3);
		script_push_raw(s, p, n);
		return;
	case DUPLICATE:
		script_push_reply(s, r->id, r->seq, right, 8);
		script_push_reply(s, r->id, r->seq, wrong, 8);
		return;
	case N_NONSENSE:
		break;
	}
	script_push_reply(s, r->id, r->seq, right, 8);
}

static bool answer_with_nonsense(void *data, struct script_host *s, const struct script_request *r)
{
	if (r->id != ID)
		return false;
	play_nonsense(s, r, *(enum nonsense *)data);
	return true;
}

static void only_the_reply_counts(void **state)
{
	struct fixture *f = *state;
	enum nonsense what;

	ghvm_rm_set_on_notify(f->rm, rm_bench_on_notify, f);
	f->s->on_request = answer_with_nonsense;
	f->s->data = &what;
	for (what = 0; what < N_NONSENSE; what++) {
		assert_int_equal(rm_bench_call(f, ID, "abcd", 4), 0);
		assert_int_equal(f->g.len, 4);
		assert_memory_equal(f->g.buf, "\1\2\3\4", 4);
	}
	assert_int_equal(f->notified, 2); /* that of BAD_TYPE and that of INTERLEAVED */
	assert_false(ghvm_rm_dead(f->rm));
}

static void notifications_come_with_their_payload(void **state)
{
	static const uint8_t exited[24] = { 0x81, 0, 3, 0, 16, 0, 0, 0, 9 };
	struct fixture *f = *state;
	_cleanup_(freep) uint8_t *p = rm_bench_pattern(500);

	ghvm_rm_set_on_notify(f->rm, rm_bench_on_notify, f);
	script_push_notification(f->s, EXITED, 1, exited, sizeof(exited));
	assert_int_equal(ghvm_rm_dispatch(f->rm), 0);
	assert_int_equal(f->notified, 1);
	assert_int_equal(f->last_id, EXITED);
	assert_int_equal(f->last_len, sizeof(exited));
	assert_memory_equal(f->last, exited, sizeof(exited));

	script_push_notification(f->s, GHVM_RM_NOTIFY_MEM_SHARED, 2, p, 500);
	script_push_notification(f->s, 0x51fffff1, 2, NULL, 0); /* unknown: handed on */
	assert_int_equal(ghvm_rm_dispatch(f->rm), 0);
	assert_int_equal(f->notified, 3);
	assert_int_equal(f->last_len, 0);
}

/* A flood must not hold the event loop: it gets another event for the rest. */
static void dispatch_is_bounded(void **state)
{
	struct fixture *f = *state;
	unsigned int rounds = 0;

	ghvm_rm_set_on_notify(f->rm, rm_bench_on_notify, f);
	for (int i = 0; i < 1000; i++)
		script_push_notification(f->s, EXITED, (uint16_t)i, "12345678", 8);
	while (poll(&(struct pollfd){ .fd = ghvm_rm_fd(f->rm), .events = POLLIN }, 1, 0) == 1) {
		assert_int_equal(ghvm_rm_dispatch(f->rm), 0);
		rounds++;
		assert_in_range(f->notified, 1, 256 * rounds);
	}
	assert_int_equal(f->notified, 1000);
	assert_in_range(rounds, 4, 6);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rm_bench_setup, rm_bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(learns_who_we_are),
		T(a_call_and_its_reply),
		T(refusals_keep_their_status),
		T(replies_without_a_status_are_malformed),
		T(messages_are_fragmented),
		T(what_is_too_long_is_refused),
		T(only_the_reply_counts),
		T(notifications_come_with_their_payload),
		T(dispatch_is_bounded),
		cmocka_unit_test(drains_what_a_predecessor_left),
		cmocka_unit_test(the_backlog_is_bounded),
		cmocka_unit_test(sequence_numbers_differ_between_connections),
		cmocka_unit_test(connecting_does_not_wait_for_entropy),
		cmocka_unit_test(connecting_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
