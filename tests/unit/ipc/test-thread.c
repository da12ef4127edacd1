/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread beside the main one gets no signals, and the thread that starts it goes on getting them. */
#include "daemon/ipc/thread.h"
#include "tests/unit/unit.h"

#include <signal.h>

#define STACK (64 * 1024)

static void *read_mask(void *data)
{
	sigset_t *mask = data;

	(void)pthread_sigmask(SIG_SETMASK, NULL, mask);
	return NULL;
}

static void blocks_signals_in_the_thread_alone(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGPIPE };
	static const size_t stacks[] = { 0, STACK };
	sigset_t inside, after;

	for (size_t i = 0; i < 2; i++) {
		pthread_t thread;

		assert_int_equal(ghvm_thread_start(&thread, stacks[i], read_mask, &inside), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
		for (size_t k = 0; k < sizeof(signals) / sizeof(*signals); k++) {
			assert_int_equal(sigismember(&inside, signals[k]), 1);
			assert_int_equal(sigismember(&after, signals[k]), 0);
		}
	}
}

/* How small a stack may be depends on the machine: with less than that a thread starts as well. */
static void starts_with_the_smallest_stack_that_there_is(void **state)
{
	pthread_t thread;
	sigset_t mask;

	assert_int_equal(ghvm_thread_start(&thread, 1, read_mask, &mask), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_signals_in_the_thread_alone),
		cmocka_unit_test(starts_with_the_smallest_stack_that_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
