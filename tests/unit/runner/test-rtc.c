/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's clock shows the host's time, can be set, and wakes. */
#include "daemon/runner/devices/board.h"
#include "libghvm/base/bits.h"
#include "tests/fakes/vcpu-host.h"
#include "tests/fixtures/devices.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <time.h>

#define BELL 3

enum {
	DATA = 0x00,
	MATCH = 0x04,
	LOAD = 0x08,
	CONTROL = 0x0c,
	MASK = 0x10,
	RAW_STATUS = 0x14,
	STATUS = 0x18,
	CLEAR = 0x1c,
	ID = 0xfe0,
};

static const struct ghvm_runinfo info = {
	.name = "demo",
	.devices = { { .name = "rtc", .ipa = GHVM_IPA_DEVICES, .doorbell = BELL } },
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

/* Its clock is @ahead of the host's, now, or a second ago while this ran. */
static void assert_ahead(struct bench *b, uint32_t ahead)
{
	const uint32_t before = (uint32_t)time(NULL), shown = reads(b, DATA);

	assert_true(shown - before - ahead <= (uint32_t)time(NULL) - before);
}

/* As the main thread does, until the alarm comes or @ms are over. Return: interrupts so far. */
static unsigned int rings_within(struct bench *b, int ms)
{
	struct pollfd fds[DEVICES_POLLFDS];
	size_t n = devices_poll(&b->devices, fds);

	if (!rings(b))
		(void)poll(fds, n, ms);
	devices_process(&b->devices);
	return rings(b);
}

static void shows_the_hosts_time(void **state)
{
	struct bench *b = *state;

	assert_ahead(b, 0);
	assert_int_equal(reads(b, CONTROL), 1);
	writes(b, CONTROL, 0); /* cannot be stopped */
	assert_ahead(b, 0);
}

static void says_what_it_is(void **state)
{
	static const uint8_t id[] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(id); i++)
		assert_int_equal(reads(b, ID + 4 * i), id[i]);
}

/* Also to before 1970 as the host sees it: 32 bits go round. */
static void can_be_set(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, 1000);
	assert_in_range(reads(b, DATA), 1000, 1060);
	assert_int_equal(reads(b, LOAD), 1000);
	writes(b, LOAD, UINT32_MAX);
	assert_true(reads(b, DATA) + 1 <= 60);
}

static void is_the_hosts_again_after_a_reboot(void **state)
{
	struct bench *b = *state;

	writes(b, LOAD, 1000);
	writes(b, MATCH, 5);
	writes(b, MASK, 1);
	devices_disconnect(&b->devices);
	devices_connect(&b->devices, &b->host.host, &info);
	assert_ahead(b, 0);
	assert_int_equal(reads(b, MATCH), 0);
	assert_int_equal(reads(b, MASK), 0);
	assert_int_equal(reads(b, RAW_STATUS), 0);
}

static void an_alarm_comes_once(void **state)
{
	struct bench *b = *state;
	uint32_t early;

	writes(b, MASK, 1);
	writes(b, MATCH, reads(b, DATA) + 1);
	early = reads(b, STATUS);
	assert_true(!early || reads(b, DATA) >= reads(b, MATCH)); /* the second may be over */
	assert_int_equal(rings_within(b, 10000), 1);
	assert_int_equal(reads(b, STATUS), 1);
	assert_true(reads(b, DATA) >= reads(b, MATCH));
	writes(b, CLEAR, 1);
	assert_int_equal(reads(b, RAW_STATUS), 0);
	assert_int_equal(rings_within(b, 0), 1);
}

static void an_alarm_of_now_comes_at_once(void **state)
{
	struct bench *b = *state;

	writes(b, MASK, 1);
	for (unsigned int i = 0; i < 100 && !rings(b); i++) /* a second may pass in between */
		writes(b, MATCH, reads(b, DATA));
	assert_int_equal(rings(b), 1);
	assert_int_equal(reads(b, STATUS), 1);
}

static void a_masked_alarm_waits(void **state)
{
	struct bench *b = *state;

	for (unsigned int i = 0; i < 100 && !reads(b, RAW_STATUS); i++)
		writes(b, MATCH, reads(b, DATA));
	assert_int_equal(reads(b, RAW_STATUS), 1);
	assert_int_equal(reads(b, STATUS), 0);
	assert_int_equal(rings(b), 0);
	writes(b, MASK, 1);
	assert_int_equal(rings(b), 1);
}

/* Setting the clock moves the alarm with it. */
static void an_alarm_is_of_the_guests_clock(void **state)
{
	struct bench *b = *state;

	writes(b, MASK, 1);
	writes(b, MATCH, 2000);
	assert_int_equal(rings_within(b, 0), 0);
	writes(b, LOAD, 1000);
	assert_int_equal(rings_within(b, 0), 0); /* in 1000 s */
	writes(b, LOAD, 1999);
	assert_int_equal(rings_within(b, 10000), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shows_the_hosts_time), TEST(says_what_it_is),
		TEST(can_be_set),	    TEST(is_the_hosts_again_after_a_reboot),
		TEST(an_alarm_comes_once),  TEST(an_alarm_of_now_comes_at_once),
		TEST(a_masked_alarm_waits), TEST(an_alarm_is_of_the_guests_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
