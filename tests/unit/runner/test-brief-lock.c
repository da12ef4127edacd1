/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/runner/base/brief-lock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"

#define ROUNDS 20000
#define SLEEP_EACH 1000 /* rounds: so that others find the lock taken, and sleep */

struct fixture {
	struct brief_lock lock;
	unsigned int inside;
	unsigned int most_inside;
	unsigned int rounds;
};

static void *take_turns(void *data)
{
	struct fixture *f = data;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		brief_lock(&f->lock);
		f->inside++;
		f->most_inside = f->inside > f->most_inside ? f->inside : f->most_inside;
		f->rounds++;
		if (i % SLEEP_EACH == 0)
			(void)usleep(100);
		f->inside--;
		brief_unlock(&f->lock);
	}
	return NULL;
}

/* Each thread comes to its end, so no wake-up is lost; the sum is right, so they were never inside together. */
static void one_thread_at_a_time(void **state)
{
	struct fixture f = {};
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_turns, &f), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(f.most_inside, 1);
	assert_int_equal(f.rounds, ARRAY_SIZE(threads) * ROUNDS);
	assert_int_equal(f.lock.state, BRIEF_LOCK_FREE);
}

static void *take_once(void *data)
{
	struct fixture *f = data;

	brief_lock(&f->lock);
	f->rounds++;
	brief_unlock(&f->lock);
	return NULL;
}

static void a_thread_that_waits_sleeps(void **state)
{
	struct fixture f = {};
	pthread_t thread;

	brief_lock(&f.lock);
	assert_int_equal(f.lock.state, BRIEF_LOCK_TAKEN);
	assert_int_equal(pthread_create(&thread, NULL, take_once, &f), 0);
	while (atomic_load(&f.lock.state) != BRIEF_LOCK_AWAITED)
		(void)usleep(100);
	assert_int_equal(f.rounds, 0);
	brief_unlock(&f.lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(f.rounds, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_at_a_time),
		cmocka_unit_test(a_thread_that_waits_sleeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
