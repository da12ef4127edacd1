/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random numbers for a guest: buffers are filled, and no more than that. */
#include "daemon/runner/devices/board.h"
#include "libghvm/base/bits.h"
#include "tests/fakes/vcpu-host.h"
#include "tests/fixtures/devices.h"
#include "tests/fixtures/virtio/driver.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define BELL 3

static const struct ghvm_runinfo info = {
	.name = "demo",
	.devices = { { .name = "rng", .ipa = GHVM_IPA_DEVICES, .doorbell = BELL } },
	.n_devices = 1,
	.doorbells = { { BELL, { SCRIPTED_BELL_CAP + BELL } } },
	.n_doorbells = 1,
};

/**
 * struct bench - a runner's devices: one
 */
struct bench {
	struct driver driver;
	struct scripted_host host;
	struct devices devices;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct devices_files files = {};

	no_logs(files.logs);
	driver_init(&b->driver);
	scripted_host_init(&b->host);
	assert_int_equal(devices_init(&b->devices, &info, &b->driver.dma, &files, NULL), 0);
	devices_connect(&b->devices, &b->host.host, &info);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	devices_disconnect(&b->devices);
	devices_done(&b->devices);
	driver_done(&b->driver);
	free(b);
	return 0;
}

static struct virtio *registers(struct bench *b)
{
	return b->devices.v[0].state; /* they are its first member */
}

static void notify(struct bench *b)
{
	assert_true(mmio_write(&b->devices.mmio, GHVM_IPA_DEVICES + 0x50, 4, 0));
}

static unsigned int count_zeroes(const struct driver *d, uint64_t ipa, uint32_t n)
{
	unsigned int zeroes = 0;

	for (uint32_t i = 0; i < n; i++)
		zeroes += *driver_at(d, ipa + i) == 0;
	return zeroes;
}

static void is_an_entropy_source(void **state)
{
	struct bench *b = *state;
	uint64_t id;

	assert_true(mmio_read(&b->devices.mmio, GHVM_IPA_DEVICES + 8, 4, &id));
	assert_int_equal(id, 4);
}

static void fills_the_buffer_and_nothing_behind_it(void **state)
{
	struct bench *b = *state;

	driver_start(registers(b));
	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 1000, DRIVER_WRITE, 0);
	driver_offer(&b->driver, 0);
	notify(b);
	assert_int_equal(driver_used_index(&b->driver), 1);
	assert_int_equal(driver_used_size(&b->driver, 0), 1000);
	assert_in_range(count_zeroes(&b->driver, DRIVER_BUFFERS, 1000), 0, 50); /* 4 are likely */
	assert_int_equal(count_zeroes(&b->driver, DRIVER_BUFFERS + 1000, 1000), 1000);
	assert_int_equal(scripted_host_rings(&b->host, BELL), 1);
}

static void what_is_asked_for_at_once_is_limited(void **state)
{
	struct bench *b = *state;

	driver_start(registers(b));
	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 3000, DRIVER_WRITE | DRIVER_NEXT, 1);
	driver_describe(&b->driver, 1, DRIVER_BUFFERS + 4096, 3000, DRIVER_WRITE, 0);
	driver_offer(&b->driver, 0);
	notify(b);
	assert_int_equal(driver_used_size(&b->driver, 0), 4096);
	assert_in_range(count_zeroes(&b->driver, DRIVER_BUFFERS + 4096, 1096), 0, 50);
	assert_int_equal(count_zeroes(&b->driver, DRIVER_BUFFERS + 4096 + 1096, 1000), 1000);
}

static void reads_nothing(void **state)
{
	struct bench *b = *state;

	driver_start(registers(b));
	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 100, 0, 0);
	driver_offer(&b->driver, 0);
	notify(b);
	assert_int_equal(driver_used_size(&b->driver, 0), 0);
	assert_int_equal(count_zeroes(&b->driver, DRIVER_BUFFERS, 100), 100);
}

/* A reboot in place: the rings of the earlier guest are forgotten. */
static void begins_anew_with_each_guest(void **state)
{
	struct bench *b = *state;

	driver_start(registers(b));
	devices_disconnect(&b->devices);
	devices_connect(&b->devices, &b->host.host, &info);
	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 100, DRIVER_WRITE, 0);
	driver_offer(&b->driver, 0);
	notify(b);
	assert_int_equal(driver_used_index(&b->driver), 0);
	driver_start(registers(b));
	notify(b);
	assert_int_equal(driver_used_size(&b->driver, 0), 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_an_entropy_source),
		TEST(fills_the_buffer_and_nothing_behind_it),
		TEST(what_is_asked_for_at_once_is_limited),
		TEST(reads_nothing),
		TEST(begins_anew_with_each_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
