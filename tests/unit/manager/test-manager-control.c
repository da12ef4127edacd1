/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A runner's connection, with a runner that does not read for a while, and one that has gone.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/manager/vm/runner-link.h"
#include "libghvm/base/cleanup.h"

#define MORE_THAN_A_SOCKET_TAKES 300 /* 278 with the default net.core.wmem_default */

struct bench {
	struct loop *loop;
	struct control control;
	struct loop_watch timer;
	int runner;
	unsigned int gone;
};

static void on_hello(void *data, struct ghvm_vmid vmid, uint64_t incarnation)
{
}

static void on_gone(void *data, const char *why)
{
	((struct bench *)data)->gone++;
}

static const struct control_calls calls = { .on_hello = on_hello, .on_gone = on_gone };

static void on_timer(void *data)
{
	loop_stop(((struct bench *)data)->loop, 0);
}

static void turn(struct bench *b, uint64_t ms)
{
	assert_int_equal(loop_timer_arm(&b->timer, ms), 0);
	assert_int_equal(loop_run(b->loop), 0);
}

static void say_hello(struct bench *b)
{
	_cleanup_(closep) int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	uint8_t buf[16];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, 17);
	ghvm_put_u64(&w, 4711);
	assert_int_equal(ghvm_link_send(b->runner, GHVM_LINK_RUNNER, &w, &pidfd, 1), 0);
	turn(b, 20);
	assert_int_equal(b->control.pid, getpid());
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_int_equal(loop_new(&b->loop), 0);
	assert_int_equal(loop_watch_timer(b->loop, &b->timer, on_timer, b), 0);
	control_init(&b->control, b->loop, &calls, b);
	assert_int_equal(control_pair(&b->control, &b->runner), 0);
	say_hello(b);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	control_done(&b->control);
	loop_watch_done(&b->timer);
	loop_free(b->loop);
	closep(&b->runner);
	free(b);
	return 0;
}

static void expect(struct bench *b, uint32_t type)
{
	struct ghvm_link_message m;

	assert_int_equal(ghvm_link_recv(b->runner, &m), 1);
	assert_int_equal(m.type, type);
	ghvm_link_message_done(&m);
}

/* Frozen is not gone: once it reads again it gets every word, the last of them too. */
static void a_runner_that_does_not_read(void **state)
{
	struct bench *b = *state;
	unsigned int n = 0;

	while (n < MORE_THAN_A_SOCKET_TAKES)
		control_ask_console(&b->control, n++, 0);
	control_ended(&b->control, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	turn(b, 120);
	assert_int_equal(b->gone, 0);
	assert_true(control_connected(&b->control));
	for (unsigned int i = 0; i < n; i++) {
		expect(b, GHVM_LINK_CONSOLE);
		if (i == n / 2)
			turn(b, 120);
	}
	expect(b, GHVM_LINK_ENDED);
	assert_int_equal(b->gone, 0);
}

/* What waits has a limit, after which it is told nothing any more. */
static void a_runner_that_never_reads(void **state)
{
	struct bench *b = *state;

	for (unsigned int i = 0; i < 2 * MORE_THAN_A_SOCKET_TAKES + GHVM_LINK_QUEUE_MAX; i++)
		control_ask_console(&b->control, i, 0);
	turn(b, 120);
	assert_int_equal(b->gone, 1);
	assert_false(control_connected(&b->control));
}

static void a_runner_that_has_gone(void **state)
{
	struct bench *b = *state;

	for (unsigned int i = 0; i < MORE_THAN_A_SOCKET_TAKES; i++)
		control_ask_console(&b->control, i, 0);
	closep(&b->runner);
	b->runner = -1;
	turn(b, 120);
	assert_int_equal(b->gone, 1);
}

#define CONTROL_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTROL_TEST(a_runner_that_does_not_read),
		CONTROL_TEST(a_runner_that_never_reads),
		CONTROL_TEST(a_runner_that_has_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
