/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPU threads on a scripted host: what each exit leads to, that they sleep where they
 * should, and that they stop from wherever they are.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/runner/vcpu-thread.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "tests/fakes/vcpu-host.h"

#define DEVICE 0x10000000ULL

struct fixture {
	struct scripted_host host;
	struct mmio_table mmio;
	struct vcpu_thread_shared shared;
	struct vcpu_thread threads[SCRIPTED_VCPUS];
	int wake[SCRIPTED_VCPUS];
	int ended;
	pthread_mutex_t lock;
	uint64_t states[SCRIPTED_VCPUS];
	uint64_t data0;
	unsigned int n_ended;
	uint64_t written[8];
	unsigned int n_written;
	atomic_uint strays;
};

static void on_end(void *data, uint64_t state, uint64_t data0)
{
	struct fixture *f = data;
	uint64_t one = 1;

	pthread_mutex_lock(&f->lock);
	f->states[f->n_ended++ % SCRIPTED_VCPUS] = state;
	f->data0 = data0;
	pthread_mutex_unlock(&f->lock);
	assert_int_equal(write(f->ended, &one, sizeof(one)), sizeof(one));
}

static void on_stray(void *data, bool is_write, uint64_t ipa, uint64_t size)
{
	atomic_fetch_add(&((struct fixture *)data)->strays, 1);
}

static void on_off(void *data)
{
	/* what it means is for who asks how many are off */
}

static uint64_t on_read(void *data, uint64_t offset, unsigned int size)
{
	return 0xabcdef00 + offset;
}

static void on_write(void *data, uint64_t offset, unsigned int size, uint64_t value)
{
	struct fixture *f = data;

	pthread_mutex_lock(&f->lock);
	f->written[f->n_written++ % 8] = value;
	pthread_mutex_unlock(&f->lock);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct mmio_device d = { DEVICE, DEVICE + 0xfff, on_read, on_write, f };

	scripted_host_init(&f->host);
	pthread_mutex_init(&f->lock, NULL);
	assert_int_equal(mmio_add(&f->mmio, &d), 0);
	f->ended = eventfd(0, EFD_SEMAPHORE);
	f->shared = (struct vcpu_thread_shared){
		.mmio = &f->mmio,
		.on_off = on_off,
		.on_end = on_end,
		.on_stray = on_stray,
		.data = f,
	};
	for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
		f->wake[i] = eventfd(0, 0);
	assert_int_equal(vcpu_thread_setup(), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	vcpu_thread_stop(f->threads, SCRIPTED_VCPUS);
	for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
		close(f->wake[i]);
	close(f->ended);
	free(f);
	return 0;
}

static void start(struct fixture *f, unsigned int vcpu)
{
	struct ghvm_host *h = &f->host.host;

	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, 1000 + vcpu, f->wake[vcpu]), 0);
	assert_int_equal(vcpu_thread_start(&f->threads[vcpu], &f->shared, h,
					   (struct ghvm_capid){ vcpu }, f->wake[vcpu]),
			 0);
}

static bool wait_end(struct fixture *f, int ms)
{
	struct pollfd p = { .fd = f->ended, .events = POLLIN };
	uint64_t n;

	return poll(&p, 1, ms) > 0 && read(f->ended, &n, sizeof(n)) == sizeof(n);
}

static void wait_runs(struct fixture *f, unsigned int vcpu, uint64_t runs)
{
	for (int i = 0; scripted_host_runs(&f->host, vcpu) < runs; i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
}

static void sleep_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

#define OFF                                                                                        \
	{                                                                                          \
		.state = GHVM_VCPU_POWERED_OFF, .data = { 1 }                                      \
	}

static void each_exit_is_one_run(void **state)
{
	static const struct scripted_step script[] = {
		{ .state = GHVM_VCPU_READY },
		{ .state = GHVM_VCPU_BLOCKED },
		{ .state = GHVM_VCPU_MMIO_READ, .data = { DEVICE + 4, 4 } },
		{ .state = GHVM_VCPU_MMIO_WRITE, .data = { DEVICE + 8, 1, 0x1ff } },
		{ .state = GHVM_VCPU_MMIO_READ, .data = { DEVICE + 4, 1 } },
		OFF,
	};
	struct fixture *f = *state;

	scripted_host_script(&f->host, 0, script, ARRAY_SIZE(script));
	start(f, 0);
	assert_true(wait_end(f, 5000));
	assert_int_equal(f->states[0], GHVM_VCPU_POWERED_OFF);
	assert_int_equal(f->data0, 1);
	assert_int_equal(f->host.runs[0], 6);
	assert_int_equal(f->host.resume[0][3], 0xabcdef04);
	assert_int_equal(f->host.resume[0][4], 0); /* not handed in twice */
	assert_int_equal(f->host.resume[0][5], 0x04);
	assert_int_equal(f->n_written, 1);
	assert_int_equal(f->written[0], 0xff);
	assert_int_equal(f->strays, 0);
}

static void strays_read_as_ones(void **state)
{
	static const struct scripted_step script[] = {
		{ .state = GHVM_VCPU_MMIO_READ, .data = { 0, 4 } },
		{ .state = GHVM_VCPU_MMIO_READ, .data = { DEVICE + 0xffe, 4 } },
		{ .state = GHVM_VCPU_MMIO_READ, .data = { UINT64_MAX, UINT64_MAX } },
		{ .state = GHVM_VCPU_MMIO_WRITE, .data = { DEVICE, 3, 1 } },
		OFF,
	};
	struct fixture *f = *state;

	scripted_host_script(&f->host, 0, script, ARRAY_SIZE(script));
	start(f, 0);
	assert_true(wait_end(f, 5000));
	assert_int_equal(f->strays, 4);
	assert_int_equal(f->n_written, 0);
	assert_int_equal(f->host.resume[0][1], UINT32_MAX);
	assert_int_equal(f->host.resume[0][2], UINT32_MAX);
	assert_int_equal(f->host.resume[0][3], UINT64_MAX);
}

static void sleeps_until_the_virq(void **state)
{
	static const struct scripted_step script[] = {
		{ .state = GHVM_VCPU_EXPECTS_WAKEUP }, /* the virq of the bind is there already */
		{ .state = GHVM_VCPU_EXPECTS_WAKEUP },
		{ .state = GHVM_VCPU_POWERED_OFF },
		OFF,
	};
	struct fixture *f = *state;

	scripted_host_script(&f->host, 0, script, ARRAY_SIZE(script));
	start(f, 0);
	wait_runs(f, 0, 2);
	sleep_ms(50);
	assert_int_equal(scripted_host_runs(&f->host, 0), 2);
	scripted_host_fire(&f->host, 0);
	wait_runs(f, 0, 3);
	sleep_ms(50);
	assert_int_equal(scripted_host_runs(&f->host, 0), 3);
	scripted_host_fire(&f->host, 0);
	assert_true(wait_end(f, 5000));
	assert_int_equal(scripted_host_runs(&f->host, 0), 4);
}

/* A virq between the run's return and the sleep must end the sleep. */
static void no_wakeup_is_lost(void **state)
{
	static const struct scripted_step script[] = {
		{ .state = GHVM_VCPU_EXPECTS_WAKEUP, .fire = 1, .repeat = 9999 },
		OFF,
	};
	struct fixture *f = *state;

	scripted_host_script(&f->host, 0, script, ARRAY_SIZE(script));
	start(f, 0);
	assert_true(wait_end(f, 20000));
	assert_int_equal(scripted_host_runs(&f->host, 0), 10001);
}

static void vcpus_wake_each_other(void **state)
{
	static const struct scripted_step first[] = {
		{ .state = GHVM_VCPU_EXPECTS_WAKEUP, .fire = 2, .repeat = 999 },
		OFF,
	};
	static const struct scripted_step second[] = {
		{ .state = GHVM_VCPU_POWERED_OFF, .fire = 1, .repeat = 999 },
		OFF,
	};
	struct fixture *f = *state;

	scripted_host_script(&f->host, 0, first, ARRAY_SIZE(first));
	scripted_host_script(&f->host, 1, second, ARRAY_SIZE(second));
	start(f, 0);
	start(f, 1);
	/* One may end first and leave the other asleep: a stop ends that. */
	assert_true(wait_end(f, 20000));
	vcpu_thread_stop(f->threads, SCRIPTED_VCPUS);
	assert_true(f->host.runs[0] > 900 && f->host.runs[1] > 900);
}

static void busy_and_retry_run_again_with_the_same_word(void **state)
{
	static const struct scripted_step script[] = {
		{ .state = GHVM_VCPU_MMIO_READ, .data = { DEVICE + 1, 1 } },
		{ .status = 31, .repeat = 20 },
		OFF,
	};
	struct fixture *f = *state;

	scripted_host_script(&f->host, 0, script, ARRAY_SIZE(script));
	start(f, 0);
	assert_true(wait_end(f, 5000));
	assert_int_equal(f->states[0], GHVM_VCPU_POWERED_OFF);
	for (unsigned int i = 1; i < 23; i++)
		assert_int_equal(f->host.resume[0][i], 0x01);
}

static void ends_are_reported_as_they_are(void **state)
{
	static const struct {
		struct scripted_step step;
		uint64_t state;
	} cases[] = {
		{ { .state = GHVM_VCPU_SYSTEM_RESET, .data = { 1ULL << 63 } },
		  GHVM_VCPU_SYSTEM_RESET },
		{ { .state = GHVM_VCPU_FAULT }, GHVM_VCPU_FAULT },
		{ { .state = 7 }, 7 },
		{ { .state = UINT64_MAX - 1 }, UINT64_MAX - 1 },
		{ { .status = 50 }, VCPU_THREAD_STOPPED },
		{ { .status = 1 }, VCPU_THREAD_STOPPED },
		{ { .status = -1 }, VCPU_THREAD_STOPPED },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		scripted_host_script(&f->host, 0, &cases[i].step, 1);
		f->n_ended = 0;
		start(f, 0);
		assert_true(wait_end(f, 5000));
		assert_int_equal(f->states[0], cases[i].state);
		assert_int_equal(f->n_ended, 1);
		vcpu_thread_stop(f->threads, 1);
		atomic_store(&f->shared.stopping, false);
	}
}

static void a_revoked_grant_ends_all(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
		start(f, i);
	wait_runs(f, 3, 10);
	scripted_host_revoke(&f->host);
	for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
		assert_true(wait_end(f, 5000));
	for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
		assert_int_equal(f->states[i], VCPU_THREAD_STOPPED);
	assert_int_equal(f->data0, ESTALE);
}

static void stops_from_anywhere(void **state)
{
	static const struct scripted_step wfi[] = {
		{ .state = GHVM_VCPU_EXPECTS_WAKEUP, .repeat = 1000000 },
	};
	static const struct scripted_step parked[] = {
		{ .state = GHVM_VCPU_POWERED_OFF, .repeat = 1000000 },
	};
	static const struct scripted_step busy[] = { { .status = 31, .repeat = 100000000 } };
	struct fixture *f = *state;

	scripted_host_script(&f->host, 0, wfi, 1);
	scripted_host_script(&f->host, 1, parked, 1);
	scripted_host_script(&f->host, 2, busy, 1);
	for (int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
			start(f, i);
		if (round % 2)
			sleep_ms(1);
		vcpu_thread_stop(f->threads, SCRIPTED_VCPUS);
		for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
			assert_false(f->threads[i].started);
		atomic_store(&f->shared.stopping, false);
		assert_int_equal(f->n_ended, 0);
	}
	vcpu_thread_stop(f->threads, SCRIPTED_VCPUS); /* none runs: no harm */
}

#define THREAD_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		THREAD_TEST(each_exit_is_one_run),
		THREAD_TEST(strays_read_as_ones),
		THREAD_TEST(sleeps_until_the_virq),
		THREAD_TEST(no_wakeup_is_lost),
		THREAD_TEST(vcpus_wake_each_other),
		THREAD_TEST(busy_and_retry_run_again_with_the_same_word),
		THREAD_TEST(ends_are_reported_as_they_are),
		THREAD_TEST(a_revoked_grant_ends_all),
		THREAD_TEST(stops_from_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
