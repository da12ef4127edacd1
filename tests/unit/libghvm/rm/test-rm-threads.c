/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Traces, and several threads at once. */
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
#include <unistd.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "tests/fixtures/rm.h"
#include "tests/fakes/queue-peer.h"

#define ID GHVM_RM_VM_GET_STATE
#define EXITED GHVM_RM_NOTIFY_VM_EXITED

/* ---- traces and facts ---- */

struct traces {
	char dirs[16];
	char vms[16][GHVM_NAME_SIZE];
	uint32_t ids[16];
	size_t lens[16];
	size_t n;
};

static void on_trace(void *data, const char *vm, char dir, uint32_t id, uint16_t seq,
		     const uint8_t *payload, size_t len)
{
	struct traces *t = data;

	assert_true(t->n < ARRAY_SIZE(t->dirs));
	memcpy(t->vms[t->n], vm, strlen(vm) + 1);
	t->dirs[t->n] = dir;
	t->ids[t->n] = id;
	t->lens[t->n++] = len;
}

static void whole_messages_are_traced(void **state)
{
	struct fixture *f = *state;
	struct traces t = {};
	uint8_t p[300] = {};

	ghvm_rm_set_on_notify(f->rm, rm_bench_on_notify, f);
	ghvm_rm_set_on_trace(f->rm, on_trace, &t);
	script_push_notification(f->s, EXITED, 1, p, 8);
	script_answer(f->s, ID, 0, p, 250);
	assert_int_equal(rm_bench_call(f, ID, p, 300), 0);
	assert_int_equal(t.n, 3);
	assert_memory_equal(t.dirs, ">!<", 3);
	assert_int_equal(t.ids[0], ID);
	assert_int_equal(t.ids[1], EXITED);
	assert_int_equal(t.ids[2], ID);
	assert_int_equal(t.lens[0], 300);
	assert_int_equal(t.lens[1], 8);
	assert_int_equal(t.lens[2], 254);
}

static void ask(struct fixture *f)
{
	script_answer(f->s, ID, 0, NULL, 0);
	assert_int_equal(rm_bench_call(f, ID, NULL, 0), 0);
}

/* A request and its reply are of the VM that the thread works for. */
static void calls_are_somebodys(void **state)
{
	static const char *const whose[] = { "",      "",      "outer", "outer", "inner",
					     "inner", "outer", "outer", "",	 "" };
	struct fixture *f = *state;
	struct traces t = {};

	ghvm_rm_set_on_trace(f->rm, on_trace, &t);
	ask(f);
	{
		_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope a = ghvm_rm_enter(f->rm, "outer");

		ask(f);
		{
			_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope b =
				ghvm_rm_enter(f->rm, "inner");

			ask(f);
		}
		ask(f);
	}
	ask(f);
	assert_int_equal(t.n, ARRAY_SIZE(whose));
	for (size_t i = 0; i < t.n; i++)
		assert_string_equal(t.vms[i], whose[i]);
}

#define VMID(n)                                                                                    \
	{                                                                                          \
		(n) & 0xff, (n) >> 8, 0, 0, 0, 0, 0, 0                                             \
	}
#define HANDLE_AND_VMID(n)                                                                         \
	{                                                                                          \
		7, 0, 0, 0, (n)&0xff, (n) >> 8, 0, 0                                               \
	}

/* A notification belongs to the VM of its VMID, if it has one. */
static void notifications_are_somebodys(void **state)
{
	static const struct {
		uint32_t id;
		uint8_t payload[8];
		size_t len;
		const char *vm;
	} n[] = {
		{ EXITED, VMID(0x81), 8, "second" },
		{ EXITED, VMID(0x80), 8, "first" },
		{ GHVM_RM_NOTIFY_VM_STATUS, VMID(0x80), 8, "first" },
		{ GHVM_RM_NOTIFY_MEM_ACCEPTED, HANDLE_AND_VMID(0x81), 8, "second" },
		{ GHVM_RM_NOTIFY_MEM_RELEASED, HANDLE_AND_VMID(0x80), 8, "first" },
		{ GHVM_RM_NOTIFY_MEM_SHARED, HANDLE_AND_VMID(0x80), 8, "" },
		{ EXITED, VMID(0x82), 8, "" },
		{ EXITED, VMID(0x180), 8, "" },
		{ EXITED, VMID(0), 8, "" },
		{ EXITED, VMID(0x80), 1, "" },
		{ GHVM_RM_NOTIFY_MEM_ACCEPTED, HANDLE_AND_VMID(0x81), 5, "" },
		{ GHVM_RM_NOTIFY_MEM_ACCEPTED, HANDLE_AND_VMID(0x81), 0, "" },
	};
	struct fixture *f = *state;
	struct traces t = {};

	ghvm_rm_set_on_notify(f->rm, rm_bench_on_notify, f);
	ghvm_rm_set_on_trace(f->rm, on_trace, &t);
	ghvm_rm_name_vmid(f->rm, (struct ghvm_vmid){ 0x80 }, "first");
	ghvm_rm_name_vmid(f->rm, (struct ghvm_vmid){ 0x81 }, "second");
	ghvm_rm_name_vmid(f->rm, (struct ghvm_vmid){ 0x180 }, "far");
	for (size_t i = 0; i < ARRAY_SIZE(n); i++)
		script_push_notification(f->s, n[i].id, (uint16_t)i, n[i].payload, n[i].len);
	assert_int_equal(ghvm_rm_dispatch(f->rm), 0);
	assert_int_equal(t.n, ARRAY_SIZE(n));
	for (size_t i = 0; i < t.n; i++)
		assert_string_equal(t.vms[i], n[i].vm);

	/* used again: of another now */
	ghvm_rm_name_vmid(f->rm, (struct ghvm_vmid){ 0x80 }, "third");
	script_push_notification(f->s, EXITED, 99, n[1].payload, 8);
	assert_int_equal(ghvm_rm_dispatch(f->rm), 0);
	assert_string_equal(t.vms[t.n - 1], "third");
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
	atomic_uint traced;
	atomic_uint of_another; /* traced as such */
	int stop_fd;
};

/* Callers are named by a letter each, and it is what they say, again and again. */
static void check_whose(void *data, const char *vm, char dir, uint32_t id, uint16_t seq,
			const uint8_t *payload, size_t len)
{
	struct party *p = data;
	const size_t status = dir == '<' ? 4 : 0;

	if (dir == '!')
		return;
	atomic_fetch_add(&p->traced, 1);
	if (len <= status || payload[status] != (uint8_t)vm[0])
		atomic_fetch_add(&p->of_another, 1);
}

static void count_notification(void *data, const struct ghvm_rm_notification *n)
{
	atomic_fetch_add(&((struct party *)data)->notified, 1);
}

struct member {
	struct party *p;
	char name[2];
};

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
	struct member *m = data;
	struct party *p = m->p;
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(p->rm, m->name);
	uint8_t buf[GHVM_RM_MSG_MAX], mine[512];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	struct ghvm_get g;
	uintptr_t bad = 0;

	for (unsigned int i = 0; i < CALLS; i++) {
		memset(mine, (int)(i + (uintptr_t)&i), sizeof(mine));
		mine[0] = (uint8_t)m->name[0];
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
	struct member members[CALLERS];
	pthread_t callers[CALLERS], loop;
	void *bad;

	p.stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(ghvm_rm_new(&p.s->host, &p.rm, NULL), 0);
	ghvm_rm_set_on_notify(p.rm, count_notification, &p);
	ghvm_rm_set_on_trace(p.rm, check_whose, &p);
	p.s->on_request = echo;
	p.s->data = &p;
	if (dispatched) {
		ghvm_rm_set_dispatched(p.rm, true);
		assert_int_equal(pthread_create(&loop, NULL, dispatcher, &p), 0);
	}
	for (int i = 0; i < CALLERS; i++) {
		members[i] = (struct member){ &p, { (char)('a' + i), '\0' } };
		assert_int_equal(pthread_create(&callers[i], NULL, caller, &members[i]), 0);
	}
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
	assert_int_equal(p.traced, 2 * CALLERS * CALLS);
	assert_int_equal(p.of_another, 0);
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

/* Another thread reads the queue while a caller without a dispatcher waits for its reply. */
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
	bad = caller(&(struct member){ &p, "a" });
	atomic_store(&p.stop, true);
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_null(bad);
	ghvm_rm_free(p.rm);
	script_host_free(p.s);
}

/* The dispatcher leaves without reading: the caller reads the queue. */
static void a_dispatcher_that_leaves(void **state)
{
	struct party p = { .s = script_host_new() };
	struct member m = { &p, "a" };
	struct timespec begin, end;
	pthread_t one;
	void *bad;

	assert_int_equal(ghvm_rm_new(&p.s->host, &p.rm, NULL), 0);
	ghvm_rm_set_on_notify(p.rm, count_notification, &p);
	p.s->on_request = echo;
	p.s->data = &p;
	ghvm_rm_set_dispatched(p.rm, true);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(pthread_create(&one, NULL, caller, &m), 0);
	(void)usleep(50000); /* most likely it waits by then */
	ghvm_rm_set_dispatched(p.rm, false);
	assert_int_equal(pthread_join(one, &bad), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	assert_null(bad);
	assert_in_range(end.tv_sec - begin.tv_sec, 0, 7); /* not a call's 10 s */
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

#define T(f) cmocka_unit_test_setup_teardown(f, rm_bench_setup, rm_bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(whole_messages_are_traced),
		T(calls_are_somebodys),
		T(notifications_are_somebodys),
		T(facts_are_remembered),
		cmocka_unit_test(many_callers_and_a_dispatcher),
		cmocka_unit_test(many_callers_without_a_dispatcher),
		cmocka_unit_test(a_bystander_may_read_our_reply),
		cmocka_unit_test(a_dispatcher_that_leaves),
		cmocka_unit_test(a_time_out_under_a_dispatcher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
