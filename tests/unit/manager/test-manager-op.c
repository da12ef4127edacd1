/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop and operations on it: order, progress, results, ends.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/manager/core/loop.h"
#include "daemon/manager/core/op.h"

struct bench {
	struct loop *loop;
	struct op op;
	pthread_t main;
	sem_t go;
	int progress;
	int done;
	int result;
	char text[64];
	char order[8];
};

static int set_up(void **state)
{
	static struct bench b;

	b = (struct bench){ .main = pthread_self() };
	assert_int_equal(sem_init(&b.go, 0, 0), 0);
	assert_int_equal(loop_new(&b.loop), 0);
	assert_int_equal(op_init(&b.op, b.loop), 0);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	op_done(&b->op);
	loop_free(b->loop);
	return sem_destroy(&b->go);
}

static int run_failing(void *data, struct ghvm_error *err)
{
	struct bench *b = data;

	assert_false(pthread_equal(pthread_self(), b->main));
	op_progress(&b->op);
	(void)sem_wait(&b->go);
	return ghvm_error_set(err, -EREMOTEIO, "refused");
}

static void on_progress(void *data)
{
	struct bench *b = data;

	b->progress++;
	assert_true(op_busy(&b->op));
	(void)sem_post(&b->go);
}

static void on_done(void *data, int result, const struct ghvm_error *err)
{
	struct bench *b = data;

	assert_true(pthread_equal(pthread_self(), b->main));
	assert_false(op_busy(&b->op));
	b->done++;
	b->result = result;
	strcpy(b->text, err->msg);
	loop_stop(b->loop, 5);
}

static const struct op_calls failing = {
	.run = run_failing,
	.on_progress = on_progress,
	.on_done = on_done,
};

static void tells_progress_and_result(void **state)
{
	struct bench *b = *state;

	assert_int_equal(op_start(&b->op, &failing, b), 0);
	assert_int_equal(op_start(&b->op, &failing, b), -EBUSY);
	assert_int_equal(loop_run(b->loop), 5);
	assert_int_equal(b->progress, 1);
	assert_int_equal(b->done, 1);
	assert_int_equal(b->result, -EREMOTEIO);
	assert_string_equal(b->text, "refused");
}

static int run_nothing(void *data, struct ghvm_error *err)
{
	return 0;
}

static void on_done_again(void *data, int result, const struct ghvm_error *err);

static const struct op_calls chained = { .run = run_nothing, .on_done = on_done_again };

static void on_done_again(void *data, int result, const struct ghvm_error *err)
{
	struct bench *b = data;

	assert_int_equal(result, 0);
	if (++b->done == 20)
		loop_stop(b->loop, 0);
	else
		assert_int_equal(op_start(&b->op, &chained, b), 0);
}

static void the_next_may_start_when_one_is_done(void **state)
{
	struct bench *b = *state;

	assert_int_equal(op_start(&b->op, &chained, b), 0);
	assert_int_equal(loop_run(b->loop), 0);
	assert_int_equal(b->done, 20);
}

static void done_waits_without_telling(void **state)
{
	struct bench *b = *state;

	assert_int_equal(op_start(&b->op, &chained, b), 0);
	op_done(&b->op);
	assert_int_equal(b->done, 0);
	op_done(&b->op);
}

struct noted {
	struct bench *bench;
	struct loop_watch watch;
	int fd;
	char letter;
};

static void note(void *data)
{
	struct noted *n = data;
	uint64_t v;

	n->bench->order[strlen(n->bench->order)] = n->letter;
	if (n->fd >= 0)
		assert_int_equal(read(n->fd, &v, sizeof(v)), sizeof(v));
	if (n->letter == 'd')
		loop_stop(n->bench->loop, 0);
}

static void what_is_deferred_runs_once_and_last(void **state)
{
	struct bench *b = *state;
	struct noted deferred = { .bench = b, .fd = -1, .letter = 'd' };
	struct noted x = { .bench = b, .fd = eventfd(1, EFD_CLOEXEC), .letter = 'x' };
	struct noted y = { .bench = b, .fd = eventfd(1, EFD_CLOEXEC), .letter = 'x' };

	loop_watch_deferred(b->loop, &deferred.watch, note, &deferred);
	loop_defer(&deferred.watch);
	loop_defer(&deferred.watch);
	assert_int_equal(loop_watch_read(b->loop, &x.watch, x.fd, note, &x), 0);
	assert_int_equal(loop_watch_read(b->loop, &y.watch, y.fd, note, &y), 0);
	assert_int_equal(loop_run(b->loop), 0);
	assert_string_equal(b->order, "xxd");
	loop_watch_done(&deferred.watch);
	loop_watch_done(&x.watch);
	loop_watch_done(&y.watch);
	(void)close(x.fd);
	(void)close(y.fd);
}

/* Always ready: what it reads it did not take. */
static void flood(void *data)
{
	((struct noted *)data)->bench->order[0] = 'f';
}

static void again(void *data)
{
	struct noted *n = data;

	if (++n->fd < 3)
		loop_defer(&n->watch);
	else
		loop_stop(n->bench->loop, 7);
}

static void a_flood_does_not_keep_the_deferred_from_running(void **state)
{
	struct bench *b = *state;
	struct noted flooding = { .bench = b, .fd = eventfd(1, EFD_CLOEXEC) };
	struct noted deferred = { .bench = b }, never = { .bench = b, .fd = -1, .letter = 'n' };

	assert_int_equal(loop_watch_read(b->loop, &flooding.watch, flooding.fd, flood, &flooding),
			 0);
	loop_watch_deferred(b->loop, &deferred.watch, again, &deferred);
	loop_watch_deferred(b->loop, &never.watch, note, &never);
	loop_defer(&never.watch);
	loop_defer(&deferred.watch);
	loop_watch_done(&never.watch);
	assert_int_equal(loop_run(b->loop), 7);
	assert_string_equal(b->order, "f");
	loop_watch_done(&deferred.watch);
	loop_watch_done(&flooding.watch);
	(void)close(flooding.fd);
}

static void timers_fire_once_and_can_be_moved(void **state)
{
	struct bench *b = *state;
	struct noted late = { .bench = b, .fd = -1, .letter = 'd' };
	struct noted never = { .bench = b, .fd = -1, .letter = 'n' };

	assert_int_equal(loop_watch_timer(b->loop, &late.watch, note, &late), 0);
	assert_int_equal(loop_watch_timer(b->loop, &never.watch, note, &never), 0);
	assert_int_equal(loop_timer_arm(&late.watch, 100000), 0);
	assert_int_equal(loop_timer_arm(&late.watch, 10), 0);
	assert_int_equal(loop_timer_arm(&never.watch, 1), 0);
	loop_timer_disarm(&never.watch);
	assert_int_equal(loop_run(b->loop), 0);
	assert_string_equal(b->order, "d");
	loop_watch_done(&late.watch);
	loop_watch_done(&never.watch);
	assert_false(loop_watching(&late.watch));
}

#define ON_BENCH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BENCH(tells_progress_and_result),
		ON_BENCH(the_next_may_start_when_one_is_done),
		ON_BENCH(done_waits_without_telling),
		ON_BENCH(what_is_deferred_runs_once_and_last),
		ON_BENCH(a_flood_does_not_keep_the_deferred_from_running),
		ON_BENCH(timers_fire_once_and_can_be_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
