/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libghvm/rm.h"

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
#include <unistd.h>

#include <cmocka.h>

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/rm-abi.h"
#include "tests/unit/script-host.h"

#define ID GHVM_RM_VM_GET_STATE
#define EXITED GHVM_RM_NOTIFY_VM_EXITED

struct fixture {
	struct script_host *s;
	struct ghvm_rm *rm;
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w;
	struct ghvm_get g;
	struct ghvm_error err;
	unsigned int notified;
	uint32_t last_id;
	uint8_t last[64];
	size_t last_len;
	pthread_t notified_on;
};

static void on_notify(void *data, const struct ghvm_rm_notification *n)
{
	struct fixture *f = data;

	f->notified++;
	f->last_id = n->id;
	f->last_len = n->payload.len;
	memcpy(f->last, n->payload.buf, n->payload.len < 64 ? n->payload.len : 64);
	f->notified_on = pthread_self();
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->s = script_host_new();
	assert_int_equal(ghvm_rm_new(&f->s->host, &f->rm, &f->err), 0);
	ghvm_rm_set_deadline(f->rm, 60, 40);
	f->w = (struct ghvm_put){ .buf = f->buf, .cap = sizeof(f->buf) };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ghvm_rm_free(f->rm);
	script_host_free(f->s);
	free(f);
	return 0;
}

static int call(struct fixture *f, uint32_t id, const void *payload, size_t len)
{
	f->w.len = 0;
	f->w.bad = false;
	ghvm_put_bytes(&f->w, payload, len);
	f->err = (struct ghvm_error){};
	return ghvm_rm_call(f->rm, id, &f->w, &f->g, &f->err);
}

static uint8_t *pattern(size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 13 + i / 256);
	return p;
}

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

	/* Nobody could be told yet: the first dispatch does it, in order, once. */
	ghvm_rm_set_on_notify(rm, on_notify, &f);
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
	ghvm_rm_set_on_notify(rm, on_notify, &f);
	assert_int_equal(ghvm_rm_dispatch(rm), 0);
	assert_int_equal(f.notified, 512);
	assert_int_equal(f.last_id, 511);
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
	assert_int_equal(call(f, ID, req, sizeof(req)), 0);
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
	assert_int_equal(call(f, ID, "abcd", 4), -EREMOTEIO);
	assert_int_equal(f->err.rm_message, ID);
	assert_int_equal(f->err.rm_code, GHVM_RM_NORESOURCE);

	script_answer(f->s, ID, GHVM_RM_UNIMPLEMENTED, "more", 4);
	assert_int_equal(call(f, ID, "abcd", 4), -EREMOTEIO);
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
		assert_int_equal(call(f, ID, "abcd", 4), -EBADMSG);
		assert_false(ghvm_rm_dead(f->rm));
	}
}

/* Requests and replies of every interesting size, in fragments. */
static void messages_are_fragmented(void **state)
{
	static const size_t sizes[] = { 0, 1, 231, 232, 233, 464, 465, 8216, 14383, 14384 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_(freep) uint8_t *req = pattern(sizes[i]);
		size_t back = sizes[i] < 14380 ? sizes[i] : 14380;
		unsigned int pushes = f->s->pushes;

		script_answer(f->s, ID, 0, req, back);
		assert_int_equal(call(f, ID, req, sizes[i]), 0);
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
	_cleanup_(freep) uint8_t *p = pattern(14616);
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
	assert_int_equal(call(f, ID, "abcd", 4), -EBADMSG);
	script_answer(f->s, ID, -1, p, 14384);
	assert_int_equal(call(f, ID, "abcd", 4), 0);
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

	ghvm_rm_set_on_notify(f->rm, on_notify, f);
	f->s->on_request = answer_with_nonsense;
	f->s->data = &what;
	for (what = 0; what < N_NONSENSE; what++) {
		assert_int_equal(call(f, ID, "abcd", 4), 0);
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
	_cleanup_(freep) uint8_t *p = pattern(500);

	ghvm_rm_set_on_notify(f->rm, on_notify, f);
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

	ghvm_rm_set_on_notify(f->rm, on_notify, f);
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

/* ---- silence ---- */

static void silence_of_a_live_rm_is_a_time_out(void **state)
{
	struct fixture *f = *state;
	size_t n = f->s->n_requests;

	assert_int_equal(call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_false(ghvm_rm_dead(f->rm));
	assert_int_equal(f->s->n_requests, n + 2);
	assert_int_equal(f->s->requests[n + 1]->id, GHVM_RM_VM_GET_VMID);
	assert_int_not_equal(f->s->requests[n]->seq, f->s->requests[n + 1]->seq);
	assert_non_null(strstr(f->err.msg, "VM_GET_STATE"));

	script_answer(f->s, ID, 0, NULL, 0); /* and it goes on */
	assert_int_equal(call(f, ID, "abcd", 4), 0);
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
	assert_int_equal(call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_int_equal(call(f, ID, "abcd", 4), 0);
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
	assert_int_equal(call(f, ID, "abcd", 4), 0);
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
	assert_int_equal(call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_true(ghvm_rm_dead(f->rm));
	assert_non_null(strstr(f->err.msg, "dead"));

	n = f->s->n_requests;
	f->s->on_request = NULL;
	script_answer(f->s, ID, 0, NULL, 0);
	assert_int_equal(call(f, ID, "abcd", 4), -EHOSTDOWN);
	assert_int_equal(f->s->n_requests, n); /* nothing was sent */
}

static void a_full_queue_is_waited_for(void **state)
{
	struct fixture *f = *state;

	ghvm_rm_set_deadline(f->rm, 5000, 5000);
	f->s->full = 2;
	script_answer(f->s, ID, 0, NULL, 0);
	assert_int_equal(call(f, ID, "abcd", 4), 0);

	ghvm_rm_set_deadline(f->rm, 40, 40);
	f->s->full = UINT32_MAX; /* RM does not read at all */
	assert_int_equal(call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_true(ghvm_rm_dead(f->rm));
}

/* A fragment that cannot be sent: RM drops the rest, so it was not executed. */
static void a_message_that_is_cut_off_was_not_sent(void **state)
{
	struct fixture *f = *state;
	uint8_t p[1000] = {};

	f->s->send_errno = -ESTALE;
	f->s->send_skip = 2;
	assert_int_equal(call(f, ID, p, sizeof(p)), -EHOSTDOWN);
	assert_true(ghvm_rm_dead(f->rm));
}

static void a_last_fragment_that_fails_may_be_out(void **state)
{
	struct fixture *f = *state;

	f->s->send_errno = -ESTALE;
	assert_int_equal(call(f, ID, "abcd", 4), -ETIMEDOUT);
	assert_true(ghvm_rm_dead(f->rm));
}

static void a_queue_that_lies_is_the_end(void **state)
{
	struct fixture *f = *state;

	f->s->receive_size = UINT64_MAX; /* OK, size 0 */
	assert_int_equal(ghvm_rm_dispatch(f->rm), -EPROTO);
	assert_true(ghvm_rm_dead(f->rm));
	assert_int_equal(call(f, ID, "abcd", 4), -EHOSTDOWN);
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
	assert_int_equal(call(f, ID, "abcd", 4), -ETIMEDOUT);
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
	assert_int_equal(call(f, ID, "abcd", 4), 0);
	assert_memory_equal(f->g.buf, "here", 4);
	assert_int_equal(f->s->n_requests, n + 1); /* and no test whether it lives */
}

/* ---- traces and facts ---- */

struct traces {
	char dirs[16];
	uint32_t ids[16];
	size_t lens[16];
	size_t n;
};

static void on_trace(void *data, char dir, uint32_t id, uint16_t seq, const uint8_t *payload,
		     size_t len)
{
	struct traces *t = data;

	t->dirs[t->n] = dir;
	t->ids[t->n] = id;
	t->lens[t->n++] = len;
}

static void whole_messages_are_traced(void **state)
{
	struct fixture *f = *state;
	struct traces t = {};
	uint8_t p[300] = {};

	ghvm_rm_set_on_notify(f->rm, on_notify, f);
	ghvm_rm_set_on_trace(f->rm, on_trace, &t);
	script_push_notification(f->s, EXITED, 1, p, 8);
	script_answer(f->s, ID, 0, p, 250);
	assert_int_equal(call(f, ID, p, 300), 0);
	assert_int_equal(t.n, 3);
	assert_memory_equal(t.dirs, ">!<", 3);
	assert_int_equal(t.ids[0], ID);
	assert_int_equal(t.ids[1], EXITED);
	assert_int_equal(t.ids[2], ID);
	assert_int_equal(t.lens[0], 300);
	assert_int_equal(t.lens[1], 8);
	assert_int_equal(t.lens[2], 254);
}

static void facts_are_remembered(void **state)
{
	struct fixture *f = *state;
	struct ghvm_vmid a = { 0x80 }, b = { 0xbe }, far = { 0x180 };

	assert_false(ghvm_rm_fact(f->rm, a, GHVM_RM_FACT_ALLOCATED));
	ghvm_rm_fact_set(f->rm, a, GHVM_RM_FACT_ALLOCATED);
	ghvm_rm_fact_set(f->rm, b, GHVM_RM_FACT_CONFIGURED);
	assert_true(ghvm_rm_fact(f->rm, a, GHVM_RM_FACT_ALLOCATED));
	assert_false(ghvm_rm_fact(f->rm, a, GHVM_RM_FACT_CONFIGURED));
	assert_true(ghvm_rm_fact(f->rm, b, GHVM_RM_FACT_CONFIGURED));
	ghvm_rm_fact_clear(f->rm, b);
	assert_false(ghvm_rm_fact(f->rm, b, GHVM_RM_FACT_CONFIGURED));
	ghvm_rm_fact_set(f->rm, far, GHVM_RM_FACT_ALLOCATED); /* not kept, so asked each time */
	assert_false(ghvm_rm_fact(f->rm, far, GHVM_RM_FACT_ALLOCATED));
}

/* ---- threads ---- */

#define CALLERS 4
#define CALLS 200

struct party {
	struct script_host *s;
	struct ghvm_rm *rm;
	atomic_bool stop;
	atomic_uint in_flight;
	atomic_uint overlaps;
	atomic_uint notified;
	int stop_fd;
};

static void count_notification(void *data, const struct ghvm_rm_notification *n)
{
	atomic_fetch_add(&((struct party *)data)->notified, 1);
}

/* Echoes, with a notification before each fourth reply; from the caller's thread. */
static bool echo(void *data, struct script_host *s, const struct script_request *r)
{
	struct party *p = data;
	uint8_t reply[516] = {};

	if (r->id != ID)
		return false;
	if (atomic_fetch_add(&p->in_flight, 1))
		atomic_fetch_add(&p->overlaps, 1);
	memcpy(reply + 4, r->payload, r->len);
	if (r->seq % 4 == 0)
		script_push_notification(s, EXITED, r->seq, "12345678", 8);
	atomic_fetch_sub(&p->in_flight, 1); /* before the reply lets the next caller go */
	script_push_reply(s, r->id, r->seq, reply, 4 + r->len);
	return true;
}

static void *caller(void *data)
{
	struct party *p = data;
	uint8_t buf[GHVM_RM_MSG_MAX], mine[512];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	struct ghvm_get g;
	uintptr_t bad = 0;

	for (unsigned int i = 0; i < CALLS; i++) {
		memset(mine, (int)(i + (uintptr_t)&i), sizeof(mine));
		w.len = 0;
		ghvm_put_bytes(&w, mine, 1 + i % sizeof(mine));
		if (ghvm_rm_call(p->rm, ID, &w, &g, NULL) < 0 || g.len != 1 + i % sizeof(mine) ||
		    memcmp(g.buf, mine, g.len) != 0)
			bad++;
	}
	return (void *)bad;
}

static void *dispatcher(void *data)
{
	struct party *p = data;
	struct pollfd fds[2] = { { .fd = ghvm_rm_fd(p->rm), .events = POLLIN },
				 { .fd = p->stop_fd, .events = POLLIN } };

	while (!atomic_load(&p->stop)) {
		(void)poll(fds, 2, -1);
		if (ghvm_rm_dispatch(p->rm) < 0)
			return (void *)1;
	}
	return NULL;
}

static void run_party(bool dispatched)
{
	struct party p = { .s = script_host_new() };
	pthread_t callers[CALLERS], loop;
	void *bad;

	p.stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(ghvm_rm_new(&p.s->host, &p.rm, NULL), 0);
	ghvm_rm_set_on_notify(p.rm, count_notification, &p);
	p.s->on_request = echo;
	p.s->data = &p;
	if (dispatched) {
		ghvm_rm_set_dispatched(p.rm, true);
		assert_int_equal(pthread_create(&loop, NULL, dispatcher, &p), 0);
	}
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&callers[i], NULL, caller, &p), 0);
	for (int i = 0; i < CALLERS; i++) {
		assert_int_equal(pthread_join(callers[i], &bad), 0);
		assert_null(bad);
	}
	if (dispatched) {
		atomic_store(&p.stop, true);
		(void)eventfd_write(p.stop_fd, 1);
		assert_int_equal(pthread_join(loop, &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(p.overlaps, 0);
	assert_int_equal(p.s->n_requests, 1 + CALLERS * CALLS);
	assert_int_equal(p.notified, CALLERS * CALLS / 4);
	ghvm_rm_free(p.rm);
	script_host_free(p.s);
	close(p.stop_fd);
}

static void many_callers_and_a_dispatcher(void **state)
{
	run_party(true);
}

static void many_callers_without_a_dispatcher(void **state)
{
	run_party(false);
}

/* Somebody else reads the queue while a caller without dispatcher waits for its reply. */
static void *bystander(void *data)
{
	struct party *p = data;

	while (!atomic_load(&p->stop))
		(void)ghvm_rm_dispatch(p->rm);
	return NULL;
}

static void a_bystander_may_read_our_reply(void **state)
{
	struct party p = { .s = script_host_new() };
	pthread_t other;
	void *bad;

	assert_int_equal(ghvm_rm_new(&p.s->host, &p.rm, NULL), 0);
	ghvm_rm_set_on_notify(p.rm, count_notification, &p);
	p.s->on_request = echo;
	p.s->data = &p;
	assert_int_equal(pthread_create(&other, NULL, bystander, &p), 0);
	bad = caller(&p);
	atomic_store(&p.stop, true);
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_null(bad);
	ghvm_rm_free(p.rm);
	script_host_free(p.s);
}

static void a_time_out_under_a_dispatcher(void **state)
{
	struct party p = { .s = script_host_new() };
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	struct ghvm_get g;
	pthread_t loop;

	p.stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(ghvm_rm_new(&p.s->host, &p.rm, NULL), 0);
	ghvm_rm_set_deadline(p.rm, 30, 2000);
	ghvm_rm_set_dispatched(p.rm, true);
	assert_int_equal(pthread_create(&loop, NULL, dispatcher, &p), 0);
	assert_int_equal(ghvm_rm_call(p.rm, ID, &w, &g, NULL), -ETIMEDOUT);
	assert_false(ghvm_rm_dead(p.rm));
	script_answer(p.s, ID, 0, NULL, 0);
	assert_int_equal(ghvm_rm_call(p.rm, ID, &w, &g, NULL), 0);
	atomic_store(&p.stop, true);
	(void)eventfd_write(p.stop_fd, 1);
	assert_int_equal(pthread_join(loop, NULL), 0);
	ghvm_rm_free(p.rm);
	script_host_free(p.s);
	close(p.stop_fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(learns_who_we_are),
		cmocka_unit_test(drains_what_a_predecessor_left),
		cmocka_unit_test(the_backlog_is_bounded),
		cmocka_unit_test(sequence_numbers_differ_between_connections),
		cmocka_unit_test(connecting_fails),
		T(a_call_and_its_reply),
		T(refusals_keep_their_status),
		T(replies_without_a_status_are_malformed),
		T(messages_are_fragmented),
		T(what_is_too_long_is_refused),
		T(only_the_reply_counts),
		T(notifications_come_with_their_payload),
		T(dispatch_is_bounded),
		T(silence_of_a_live_rm_is_a_time_out),
		T(a_stale_reply_is_not_the_next_ones),
		T(a_late_reply_is_taken),
		T(silence_of_a_dead_rm_is_the_end),
		T(a_full_queue_is_waited_for),
		T(a_message_that_is_cut_off_was_not_sent),
		T(a_last_fragment_that_fails_may_be_out),
		T(a_queue_that_lies_is_the_end),
		T(slow_calls_have_more_patience),
		T(a_reply_that_waited_for_us_is_not_late),
		T(whole_messages_are_traced),
		T(facts_are_remembered),
		cmocka_unit_test(many_callers_and_a_dispatcher),
		cmocka_unit_test(many_callers_without_a_dispatcher),
		cmocka_unit_test(a_bystander_may_read_our_reply),
		cmocka_unit_test(a_time_out_under_a_dispatcher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
