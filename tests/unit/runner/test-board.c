/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The runner's table of devices: its rows and the library's are the same, and each one works. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/runner/devices/board.h"
#include "libghvm/base/bits.h"
#include "libghvm/plan/devices.h"
#include "tests/fakes/vcpu-host.h"
#include "tests/fixtures/devices.h"
#include "tests/unit/unit.h"

static void each_row_has_registers(void **state)
{
	size_t n = 0, n_rows = 0;

	for (const struct ghvm_device_kind *k = ghvm_device_kinds; k->name; k++)
		n_rows++;
	for (; device_kinds[n]; n++) {
		const struct device_kind *k = device_kinds[n];

		assert_non_null(ghvm_device_kind(k->name));
		assert_true(k->size > 0);
		assert_non_null(k->init);
		assert_non_null(k->done);
		assert_non_null(k->reset);
		assert_non_null(k->read);
		assert_non_null(k->write);
		assert_int_equal(k->n_pollfds > 0, k->poll != NULL);
		if (ghvm_device_kind(k->name)->dma)
			assert_non_null(k->report); /* for ghvmctl status */
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(device_kinds[i]->name, k->name);
	}
	assert_int_equal(n, n_rows); /* so each row of the library has one here */
}

static const struct dma_map no_memory;

/*
 * One device of each kind, without regard to what a descriptor may ask for; but none of a back-end or the host's
 * kernel, which test-vhost-user and test-vsock have.
 */
static struct ghvm_runinfo one_of_each(void)
{
	struct ghvm_runinfo info = { .name = "demo", .logging = GHVM_LOGGING_NONE };
	uint64_t ipa = GHVM_IPA_DEVICES;

	for (const struct ghvm_device_kind *k = ghvm_device_kinds; k->name; k++) {
		struct ghvm_runinfo_device *d = &info.devices[info.n_devices];

		if (k->backend || k->kernel)
			continue;
		(void)snprintf(d->name, sizeof(d->name), "%s", k->name);
		d->ipa = k->ipa ?: (ipa += GHVM_IPA_MMIO_PAGE);
		d->doorbell = (uint32_t)info.n_devices;
		info.doorbells[info.n_devices].label = d->doorbell;
		info.doorbells[info.n_devices].cap.id = SCRIPTED_BELL_CAP + info.n_devices;
		info.n_devices++;
	}
	info.n_doorbells = info.n_devices;
	return info;
}

/* Each register of each device, with each size: none is stray, none harms the runner. */
static void each_device_answers_its_page(void **state)
{
	struct devices *d = calloc(1, sizeof(*d));
	const struct ghvm_runinfo info = one_of_each();
	struct scripted_host host;
	struct devices_files files = {};
	uint64_t value;

	no_logs(files.logs);
	scripted_host_init(&host);
	assert_int_equal(devices_init(d, &info, &no_memory, &files, NULL), 0);
	assert_int_equal(d->n, info.n_devices);
	devices_connect(d, &host.host, &info);
	for (size_t i = 0; i < info.n_devices; i++) {
		for (uint64_t at = 0; at < GHVM_IPA_MMIO_PAGE; at++) {
			for (uint64_t size = 1; size <= 8 && at % size == 0; size *= 2) {
				uint64_t ipa = info.devices[i].ipa + at;

				assert_true(mmio_read(&d->mmio, ipa, size, &value));
				assert_true(mmio_write(&d->mmio, ipa, size, UINT64_MAX));
				assert_true(mmio_write(&d->mmio, ipa, size, 0));
			}
		}
		assert_false(mmio_read(&d->mmio, info.devices[i].ipa + GHVM_IPA_MMIO_PAGE - 1, 2,
				       &value));
	}
	devices_process(d);
	devices_disconnect(d);
	devices_done(d);
	free(d);
}

static void asks_for_no_more_than_it_says(void **state)
{
	struct devices *d = calloc(1, sizeof(*d));
	const struct ghvm_runinfo info = one_of_each();
	struct pollfd fds[DEVICES_POLLFDS + 1];
	struct devices_files files = {};
	size_t n;

	no_logs(files.logs);
	assert_int_equal(devices_init(d, &info, &no_memory, &files, NULL), 0);
	memset(fds, 0x5a, sizeof(fds));
	n = devices_poll(d, fds);
	assert_in_range(n, 1, DEVICES_POLLFDS);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(fds[i].fd, 0x5a5a5a5a);
	assert_int_equal(fds[n].fd, 0x5a5a5a5a);
	assert_int_equal(devices_timeout(d), -1);
	devices_done(d);
	free(d);
}

static void the_log_is_closed_if_no_device_takes_it(void **state)
{
	struct devices *d = calloc(1, sizeof(*d));
	const struct ghvm_runinfo info = { .name = "demo" };
	struct devices_files files = {};
	int fd = eventfd(0, EFD_CLOEXEC);

	no_logs(files.logs);
	files.logs[0] = fd;
	assert_int_equal(devices_init(d, &info, &no_memory, &files, NULL), 0);
	assert_int_equal(close(fd), -1);
	assert_null(devices_console(d));
	assert_false(devices_have_key(d));
	devices_press_key(d, true); /* nothing happens */
	devices_done(d);
	free(d);
}

static void refuses_a_kind_that_it_does_not_know(void **state)
{
	struct devices *d = calloc(1, sizeof(*d));
	struct ghvm_runinfo info = one_of_each();
	struct ghvm_error err = {};
	struct devices_files files = {};

	no_logs(files.logs);
	strcpy(info.devices[info.n_devices - 1].name, "toaster");
	assert_int_equal(devices_init(d, &info, &no_memory, &files, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "'toaster'"));
	assert_int_equal(d->n, 0); /* those before it are gone */
	free(d);
}

static void refuses_two_at_one_address(void **state)
{
	struct devices *d = calloc(1, sizeof(*d));
	struct ghvm_runinfo info = one_of_each();
	struct ghvm_error err = {};
	struct devices_files files = {};

	no_logs(files.logs);
	info.devices[1].ipa = info.devices[0].ipa;
	assert_int_equal(devices_init(d, &info, &no_memory, &files, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "cannot create device 'power-key'"));
	assert_int_equal(d->n, 0);
	free(d);
}

/* A line of the GPIO block that the guest has enabled rings the key's bell, and no other. */
static void a_device_rings_its_own_bell(void **state)
{
	struct devices *d = calloc(1, sizeof(*d));
	const struct ghvm_runinfo info = one_of_each();
	struct devices_files files = {};
	struct scripted_host host;

	no_logs(files.logs);
	scripted_host_init(&host);
	assert_int_equal(devices_init(d, &info, &no_memory, &files, NULL), 0);
	devices_connect(d, &host.host, &info);
	assert_true(mmio_write(&d->mmio, GHVM_IPA_PL061 + 0x40c, 1, 0xff)); /* rising edges */
	assert_true(mmio_write(&d->mmio, GHVM_IPA_PL061 + 0x410, 1, 0xff)); /* enabled */
	devices_press_key(d, true);
	assert_int_equal(scripted_host_rings(&host, GHVM_DOORBELL_PL061), 1);
	assert_int_equal(scripted_host_rings(&host, GHVM_DOORBELL_UART), 0);
	devices_disconnect(d);
	devices_press_key(d, false);
	devices_press_key(d, true); /* rings, but there is no VM */
	assert_int_equal(scripted_host_rings(&host, GHVM_DOORBELL_PL061), 1);
	devices_done(d);
	free(d);
}

/* Each device says where it is; and those with rings, how many they have. */
static void each_device_is_reported(void **state)
{
	struct devices *d = calloc(1, sizeof(*d));
	const struct ghvm_runinfo info = one_of_each();
	struct ghvm_link_device v[GHVM_PLAN_DEVICES_MAX];
	struct devices_files files = {};

	no_logs(files.logs);
	assert_int_equal(devices_init(d, &info, &no_memory, &files, NULL), 0);
	assert_int_equal(devices_report(d, v), info.n_devices);
	for (size_t i = 0; i < info.n_devices; i++) {
		const bool rings = ghvm_device_kind(info.devices[i].name)->dma;

		assert_string_equal(v[i].kind, info.devices[i].name);
		assert_int_equal(v[i].ipa, info.devices[i].ipa);
		assert_int_equal(v[i].doorbell, info.devices[i].doorbell);
		assert_int_equal(v[i].state,
				 rings ? GHVM_LINK_DEVICE_IDLE : GHVM_LINK_DEVICE_SIMPLE);
		assert_int_equal(v[i].n_queues > 0, rings);
		assert_int_equal(v[i].n_ready, 0);
	}
	devices_done(d);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_has_registers),
		cmocka_unit_test(each_device_answers_its_page),
		cmocka_unit_test(each_device_is_reported),
		cmocka_unit_test(asks_for_no_more_than_it_says),
		cmocka_unit_test(the_log_is_closed_if_no_device_takes_it),
		cmocka_unit_test(refuses_a_kind_that_it_does_not_know),
		cmocka_unit_test(refuses_two_at_one_address),
		cmocka_unit_test(a_device_rings_its_own_bell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
