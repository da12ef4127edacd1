/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The call that raises an edge fails: an error that passes delays the edge, one that lasts is told once. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/runner/devices/board.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/hvc.h"
#include "tests/fakes/vcpu-host.h"
#include "tests/fixtures/devices.h"
#include "tests/unit/unit.h"

#define FOR_LONG 1000000

/* A power key: each press is an edge. */
static const struct ghvm_runinfo info = {
	.name = "demo",
	.devices = { { .name = "power-key",
		       .ipa = GHVM_IPA_PL061,
		       .doorbell = GHVM_DOORBELL_PL061 } },
	.n_devices = 1,
	.doorbells = { { GHVM_DOORBELL_PL061, { SCRIPTED_BELL_CAP + GHVM_DOORBELL_PL061 } } },
	.n_doorbells = 1,
};
static const struct dma_map no_memory;

/**
 * struct bench - @told: what the runner has written to stderr since the start of the test
 */
struct bench {
	struct scripted_host host;
	struct devices devices;
	int told;
	int stderr_fd;
};

static void connect_key(struct bench *b)
{
	devices_connect(&b->devices, &b->host.host, &info);
	assert_true(
		mmio_write(&b->devices.mmio, GHVM_IPA_PL061 + 0x40c, 1, 0xff)); /* rising edges */
	assert_true(mmio_write(&b->devices.mmio, GHVM_IPA_PL061 + 0x410, 1, 0xff)); /* enabled */
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct devices_files files = {};

	assert_non_null(b);
	*state = b;
	no_logs(files.logs);
	scripted_host_init(&b->host);
	assert_int_equal(devices_init(&b->devices, &info, &no_memory, &files, NULL), 0);
	connect_key(b);
	b->told = memfd_create("told", MFD_CLOEXEC);
	b->stderr_fd = dup(STDERR_FILENO);
	assert_true(b->told >= 0 && b->stderr_fd >= 0);
	assert_true(dup2(b->told, STDERR_FILENO) >= 0);
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	(void)dup2(b->stderr_fd, STDERR_FILENO);
	closep(&b->stderr_fd);
	closep(&b->told);
	devices_done(&b->devices);
	free(b);
	return 0;
}

static void press(struct bench *b)
{
	assert_true(
		mmio_write(&b->devices.mmio, GHVM_IPA_PL061 + 0x41c, 1, 0xff)); /* none pending */
	devices_press_key(&b->devices, false);
	devices_press_key(&b->devices, true);
}

static unsigned int count_rings(struct bench *b)
{
	return scripted_host_rings(&b->host, GHVM_DOORBELL_PL061);
}

static unsigned int count_messages(struct bench *b, const char *text)
{
	char all[4096] = "";
	unsigned int n = 0;

	assert_true(pread(b->told, all, sizeof(all) - 1, 0) >= 0);
	for (const char *at = strstr(all, text); at; at = strstr(at + 1, text))
		n++;
	return n;
}

/* As the runner's loop does. Return: poll() has an event of the devices. */
static bool wait_for_devices(struct bench *b)
{
	struct pollfd fds[DEVICES_POLLFDS];

	return poll(fds, devices_poll(&b->devices, fds), 0) > 0;
}

static void one_failure_loses_no_edge(void **state)
{
	static const struct {
		int r;
		int32_t status;
	} failures[] = {
		{ -EAGAIN, 0 }, { -EINTR, 0 }, { 0, GHVM_HYP_RETRY }, { 0, GHVM_HYP_BUSY }
	};
	struct bench *b = *state;

	for (unsigned int i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		scripted_host_fail_rings(&b->host, failures[i].r, failures[i].status, 1);
		press(b);
		assert_int_equal(count_rings(b), i + 1);
	}
	assert_int_equal(devices_timeout(&b->devices), -1);
	assert_int_equal(count_messages(b, "power-key"), 0);
}

/* The loop is woken, as it may sleep while a vCPU's thread raises the edge. */
static void the_loop_raises_what_is_owed(void **state)
{
	struct bench *b = *state;

	scripted_host_fail_rings(&b->host, -EAGAIN, 0, FOR_LONG);
	press(b);
	assert_int_equal(count_rings(b), 0);
	assert_int_equal(devices_timeout(&b->devices), BELL_AGAIN_MS);
	assert_true(wait_for_devices(b));
	devices_process(&b->devices);
	assert_false(wait_for_devices(b)); /* the time limit, not an event, repeats it */
	assert_int_equal(devices_timeout(&b->devices), BELL_AGAIN_MS);
	scripted_host_fail_rings(&b->host, 0, 0, 0);
	devices_process(&b->devices);
	assert_int_equal(count_rings(b), 1);
	assert_int_equal(devices_timeout(&b->devices), -1);
	devices_process(&b->devices);
	assert_int_equal(count_rings(b), 1); /* not twice */
}

/* The thread of a vCPU that raises an edge tries a few times, and goes on. */
static void trying_is_bounded(void **state)
{
	struct bench *b = *state;

	scripted_host_fail_rings(&b->host, -EAGAIN, 0, FOR_LONG);
	press(b);
	assert_in_range(FOR_LONG - b->host.ring_fails_for, 2, 10);
}

static void a_long_refusal_is_told_once(void **state)
{
	struct bench *b = *state;

	scripted_host_fail_rings(&b->host, -EAGAIN, 0, FOR_LONG);
	press(b);
	for (int i = 0; i < 1000; i++)
		devices_process(&b->devices);
	assert_int_equal(count_messages(b, "Device power-key: cannot raise its interrupt"), 1);
	scripted_host_fail_rings(&b->host, 0, 0, 0);
	devices_process(&b->devices);
	assert_int_equal(count_rings(b), 1);
}

static void what_lasts_is_told_once_a_vm(void **state)
{
	struct bench *b = *state;

	scripted_host_fail_rings(&b->host, 0, GHVM_HYP_INSUFFICIENT_RIGHTS, FOR_LONG);
	press(b);
	press(b);
	assert_int_equal(devices_timeout(&b->devices), -1); /* repeating it is of no use */
	assert_int_equal(count_messages(b, "interrupt: the hypervisor refuses. The guest may"), 1);
	devices_disconnect(&b->devices);
	connect_key(b);
	scripted_host_fail_rings(&b->host, -EPERM, 0, FOR_LONG);
	press(b);
	press(b);
	assert_int_equal(count_messages(b, "interrupt: Operation not permitted"), 1);
}

/* At each stop of a VM. */
static void the_end_of_the_vm_is_no_news(void **state)
{
	struct bench *b = *state;

	scripted_host_fail_rings(&b->host, 0, GHVM_HYP_CAP_REVOKED, 1);
	press(b);
	scripted_host_revoke(&b->host);
	press(b);
	assert_int_equal(devices_timeout(&b->devices), -1);
	assert_int_equal(count_messages(b, "power-key"), 0);
}

static void the_next_vm_owes_nothing(void **state)
{
	struct bench *b = *state;

	scripted_host_fail_rings(&b->host, -EAGAIN, 0, FOR_LONG);
	press(b);
	devices_disconnect(&b->devices);
	devices_process(&b->devices);
	assert_int_equal(devices_timeout(&b->devices), -1);
	connect_key(b);
	scripted_host_fail_rings(&b->host, 0, 0, 0);
	devices_process(&b->devices);
	assert_int_equal(count_rings(b), 0);
}

#define EDGE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EDGE_TEST(one_failure_loses_no_edge),
		EDGE_TEST(the_loop_raises_what_is_owed),
		EDGE_TEST(trying_is_bounded),
		EDGE_TEST(a_long_refusal_is_told_once),
		EDGE_TEST(what_lasts_is_told_once_a_vm),
		EDGE_TEST(the_end_of_the_vm_is_no_news),
		EDGE_TEST(the_next_vm_owes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
