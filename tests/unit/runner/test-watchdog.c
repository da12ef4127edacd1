/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog rings, then bites; it does neither if it is fed, stopped, locked, or if nothing could run. */
#include "daemon/runner/devices/board.h"
#include "libghvm/base/bits.h"
#include "tests/fakes/vcpu-host.h"
#include "tests/fixtures/devices.h"
#include "tests/unit/unit.h"

#include "ghvm/guest-map.h"

#include <stdlib.h>
#include <unistd.h>

#define BELL 3
#define UNLOCK 0x1acce551
#define LONG (100U * GHVM_APB_CLOCK) /* ticks of 100 s */

enum {
	LOAD = 0x000,
	VALUE = 0x004,
	CONTROL = 0x008,
	CLEAR = 0x00c,
	RAW_STATUS = 0x010,
	STATUS = 0x014,
	LOCK = 0xc00,
	ID = 0xfe0,
};

enum { OFF = 0, COUNTS = 1, COUNTS_AND_BITES = 3 };

static const struct ghvm_runinfo info = {
	.name = "demo",
	.devices = { { .name = "watchdog", .ipa = GHVM_IPA_DEVICES, .doorbell = BELL } },
	.n_devices = 1,
	.doorbells = { { BELL, { SCRIPTED_BELL_CAP + BELL } } },
	.n_doorbells = 1,
};

/**
 * struct bench - a runner's devices: one
 */
struct bench {
	struct scripted_host host;
	struct devices devices;
};

static int set_up(void **state)
{
	static const struct dma_map no_memory;
	struct bench *b = calloc(1, sizeof(*b));
	struct devices_files files = {};

	no_logs(files.logs);
	scripted_host_init(&b->host);
	assert_int_equal(devices_init(&b->devices, &info, &no_memory, &files, NULL), 0);
	devices_connect(&b->devices, &b->host.host, &info);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	devices_disconnect(&b->devices);
	devices_done(&b->devices);
	free(b);
	return 0;
}

static uint32_t reads(struct bench *b, uint64_t offset)
{
	uint64_t value;

	assert_true(mmio_read(&b->devices.mmio, GHVM_IPA_DEVICES + offset, 4, &value));
	return (uint32_t)value;
}

static void writes(struct bench *b, uint64_t offset, uint32_t value)
{
	assert_true(mmio_write(&b->devices.mmio, GHVM_IPA_DEVICES + offset, 4, value));
}

static unsigned int rings(struct bench *b)
{
	return scripted_host_rings(&b->host, BELL);
}

/* As the main thread does: wait until the timer expires, for at most @ms. Return: it has bitten. */
static bool bites_within(struct bench *b, int ms)
{
	struct pollfd fds[DEVICES_POLLFDS];
	size_t n = devices_poll(&b->devices, fds);

	(void)poll(fds, n, ms);
	devices_process(&b->devices);
	return devices_bite(&b->devices);
}

static void is_off_until_it_is_started(void **state)
{
	struct bench *b = *state;

	assert_int_equal(reads(b, CONTROL), OFF);
	assert_int_equal(reads(b, LOAD), UINT32_MAX);
	writes(b, LOAD, 0);
	assert_false(bites_within(b, 50));
	assert_int_equal(rings(b), 0);
	assert_int_equal(reads(b, RAW_STATUS), 0);
}

static void says_what_it_is(void **state)
{
	static const uint8_t id[] = { 0x05, 0x18, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(id); i++)
		assert_int_equal(reads(b, ID + 4 * i), id[i]);
}

static void counts_down(void **state)
{
	struct bench *b = *state;
	uint32_t first;

	writes(b, LOAD, LONG);
	assert_int_equal(reads(b, VALUE), LONG);
	writes(b, CONTROL, COUNTS);
	first = reads(b, VALUE);
	assert_in_range(first, LONG / 2, LONG);
	usleep(2000);
	assert_true(first - reads(b, VALUE) >= GHVM_APB_CLOCK / 1000);
}

/* The interrupt first; then it bites, once, until it is cleared. */
static void rings_then_bites(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, 0);
	writes(b, CONTROL, COUNTS_AND_BITES);
	assert_false(bites_within(b, 10000));
	assert_int_equal(rings(b), 1);
	assert_int_equal(reads(b, STATUS), 1);
	assert_true(bites_within(b, 10000));
	assert_int_equal(rings(b), 1);
	assert_false(bites_within(b, 50));
	writes(b, CLEAR, 1);
	assert_int_equal(reads(b, RAW_STATUS), 0);
	assert_false(bites_within(b, 10000));
	assert_int_equal(rings(b), 2);
	assert_true(bites_within(b, 10000));
}

static void does_not_bite_if_it_may_not(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, 0);
	writes(b, CONTROL, COUNTS);
	for (unsigned int i = 0; i < 4; i++)
		assert_false(bites_within(b, 10000));
	assert_int_equal(rings(b), 1);
}

static void is_fed(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, 0);
	writes(b, CONTROL, COUNTS_AND_BITES);
	for (unsigned int i = 1; i < 5; i++) {
		assert_false(bites_within(b, 10000));
		assert_int_equal(rings(b), i);
		writes(b, CLEAR, 1);
	}
	assert_false(bites_within(b, 10000)); /* due */
	writes(b, LOAD, LONG);
	assert_false(bites_within(b, 50));
	writes(b, LOAD, 0); /* counts at once, and was not cleared */
	assert_true(bites_within(b, 10000));
}

static void can_be_stopped(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, 0);
	writes(b, CONTROL, COUNTS_AND_BITES);
	assert_false(bites_within(b, 10000));
	writes(b, CONTROL, OFF);
	assert_false(bites_within(b, 50));
	assert_int_equal(reads(b, RAW_STATUS), 1);
	assert_int_equal(reads(b, STATUS), 0);
}

static void can_be_locked(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, LONG);
	writes(b, LOCK, 1);
	assert_int_equal(reads(b, LOCK), 1);
	writes(b, LOAD, 5);
	writes(b, CONTROL, COUNTS_AND_BITES);
	assert_int_equal(reads(b, LOAD), LONG);
	assert_int_equal(reads(b, CONTROL), OFF);
	writes(b, LOCK, UNLOCK);
	assert_int_equal(reads(b, LOCK), 0);
	writes(b, LOAD, 5);
	assert_int_equal(reads(b, LOAD), 5);
}

/* A unit that was frozen, or a host that was asleep: the count begins anew. */
static void a_pause_does_not_count(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, 0);
	writes(b, CONTROL, COUNTS_AND_BITES);
	assert_false(bites_within(b, 10000));
	usleep(1100000);
	assert_false(bites_within(b, 0));
	usleep(1100000);
	assert_false(bites_within(b, 0));
	assert_true(bites_within(b, 10000));
}

static void is_off_after_a_reboot(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, 0);
	writes(b, CONTROL, COUNTS_AND_BITES);
	assert_false(bites_within(b, 10000));
	writes(b, LOCK, 1);
	devices_disconnect(&b->devices);
	devices_connect(&b->devices, &b->host.host, &info);
	assert_false(bites_within(b, 50));
	assert_int_equal(reads(b, LOAD), UINT32_MAX);
	assert_int_equal(reads(b, CONTROL), OFF);
	assert_int_equal(reads(b, RAW_STATUS), 0);
	assert_int_equal(reads(b, LOCK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_off_until_it_is_started),
		TEST(says_what_it_is),
		TEST(counts_down),
		TEST(rings_then_bites),
		TEST(does_not_bite_if_it_may_not),
		TEST(is_fed),
		TEST(can_be_stopped),
		TEST(can_be_locked),
		TEST(a_pause_does_not_count),
		TEST(is_off_after_a_reboot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
