/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runner's starts and ends: verdicts, signals, stops, and starts that cannot be.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/hvc.h"
#include "ghvm/plan.h"
#include "tests/fixtures/runner.h"

static void nothing_runs_before_started(void **state)
{
	struct bench *f = *state;

	SCRIPT(f, bench_off);
	bench_launch(f);
	bench_expect_hello(f);
	bench_expect(f, GHVM_LINK_READY);
	assert_true(f->hosts[0].eventfds[0] >= 0 && f->hosts[0].eventfds[1] >= 0);
	bench_expect_silence(f, 50);
	assert_int_equal(scripted_host_runs(&f->hosts[0], 0), 0);
	assert_false(bench_notified(f, "READY=1"));
	bench_say(f, GHVM_LINK_STARTED, NULL, 0, NULL, 0);
	bench_expect_exited(f, GHVM_VCPU_POWERED_OFF);
	assert_true(bench_notified(f, "READY=1"));
	bench_say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 0);
	assert_true(f->hosts[0].closed);
}

static void the_verdict_is_the_status(void **state)
{
	static const struct {
		uint32_t action;
		int status;
	} cases[] = {
		{ GHVM_LINK_EXIT_OK, 0 },
		{ GHVM_LINK_EXIT_FAILED, 1 },
		{ GHVM_LINK_EXIT_RESTART, 133 },
		{ GHVM_LINK_EXIT_STOP, 134 },
		{ 77, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench *f;

		if (i) {
			assert_int_equal(bench_tear_down(state), 0);
			assert_int_equal(bench_set_up(state), 0);
		}
		f = *state;
		SCRIPT(f, bench_fault);
		bench_start(f);
		bench_expect_exited(f, GHVM_VCPU_FAULT);
		bench_say_ended(f, GHVM_EXIT_SOFTWARE_ERROR, cases[i].action);
		assert_int_equal(bench_join(f), cases[i].status);
	}
}

static void an_end_may_come_before_the_vcpus_notice(void **state)
{
	struct bench *f = *state;

	bench_start(f); /* they spin */
	bench_wait_runs(&f->hosts[0], 1, 10);
	bench_say_ended(f, GHVM_EXIT_WATCHDOG, GHVM_LINK_EXIT_RESTART);
	assert_int_equal(bench_join(f), 133);
}

static void a_guest_that_hangs_is_ended_by_its_watchdog(void **state)
{
	struct bench *f = *state;

	bench_add_watchdog(f, GHVM_ON_END_RESTART);
	scripted_host_script(&f->hosts[0], 0, bench_hang, ARRAY_SIZE(bench_hang));
	bench_start(f);
	bench_expect_exited(f, GHVM_LINK_BITTEN);
	bench_say_ended(f, GHVM_EXIT_WATCHDOG, GHVM_LINK_EXIT_RESTART);
	assert_int_equal(bench_join(f), 133);
}

static void a_watchdog_may_only_be_logged(void **state)
{
	struct bench *f = *state;

	bench_add_watchdog(f, GHVM_ON_END_DUMP_ONLY);
	scripted_host_script(&f->hosts[0], 0, bench_hang, ARRAY_SIZE(bench_hang));
	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 10);
	usleep(100000); /* it bites after 20 ms */
	bench_wait_runs(&f->hosts[0], 0, 10);
	SCRIPT(f, bench_off);
	bench_expect_exited(f, GHVM_VCPU_POWERED_OFF); /* the first that it says */
	bench_say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 0);
}

/* The manager takes the grant back once it knows of an end, which may be before the vCPUs do. */
static void a_grant_taken_back_is_no_failure(void **state)
{
	struct bench *f = *state;

	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 10);
	scripted_host_revoke(&f->hosts[0]);
	bench_expect_exited(f, VCPU_THREAD_STOPPED);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 0);
}

static void a_vcpu_that_cannot_run_is_a_failure(void **state)
{
	static const struct scripted_step denied[] = { { .status = GHVM_HYP_DENIED } };
	struct bench *f = *state;

	bench_start(f);
	SCRIPT(f, denied);
	assert_int_equal(bench_join(f), 1);
}

static void a_refusal_fails(void **state)
{
	struct bench *f = *state;
	static const uint8_t text[] = { 2, 0, 'n', 'o' };

	bench_launch(f);
	bench_expect_hello(f);
	bench_expect(f, GHVM_LINK_READY);
	bench_say(f, GHVM_LINK_REFUSED, text, sizeof(text), NULL, 0);
	assert_int_equal(bench_join(f), 1);
	assert_int_equal(f->hosts[0].runs[0], 0);
}

static const struct scripted_step listens_to_key[] = {
	{ .state = GHVM_VCPU_MMIO_WRITE, .data = { GHVM_IPA_PL061 + 0x408, 1, 8 } },
	{ .state = GHVM_VCPU_MMIO_WRITE, .data = { GHVM_IPA_PL061 + 0x410, 1, 8 } },
};

static void sigterm_presses_the_key(void **state)
{
	struct bench *f = *state;

	SCRIPT(f, listens_to_key);
	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 10);
	kill(getpid(), SIGTERM);
	bench_expect_stop(f, GHVM_LINK_GRACEFUL);
	bench_wait_rings(&f->hosts[0], GHVM_DOORBELL_PL061);
	assert_true(bench_notified(f, "EXTEND_TIMEOUT_USEC=30000000"));
	kill(getpid(), SIGTERM); /* again: no more than once is asked */
	bench_expect_stop(f, GHVM_LINK_GRACEFUL);
	SCRIPT(f, bench_off);
	bench_expect_exited(f, GHVM_VCPU_POWERED_OFF);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 0);
}

static void patience_ends(void **state)
{
	struct bench *f = *state;

	f->info.stop_timeout_ms = 200;
	bench_start(f);
	kill(getpid(), SIGRTMIN + 4);
	bench_expect_stop(f, GHVM_LINK_GRACEFUL);
	bench_expect_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

static void without_a_key_force_is_all_there_is(void **state)
{
	struct bench *f = *state;

	f->info.n_devices = 1; /* the UART alone */
	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 1);
	kill(getpid(), SIGTERM);
	bench_expect_stop(f, GHVM_LINK_GRACEFUL);
	bench_expect_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

static void a_guest_that_resets_while_asked_to_stop_has_stopped(void **state)
{
	struct bench *f = *state;

	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 1);
	kill(getpid(), SIGTERM);
	bench_expect_stop(f, GHVM_LINK_GRACEFUL);
	SCRIPT(f, bench_reset);
	bench_expect_exited(f, GHVM_VCPU_SYSTEM_RESET);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_RESET, GHVM_LINK_WAIT);
	assert_int_equal(bench_join(f), 0);
}

static void sigint_reboots(void **state)
{
	struct bench *f = *state;

	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 1);
	kill(getpid(), SIGINT);
	bench_expect_stop(f, GHVM_LINK_REBOOT);
	SCRIPT(f, bench_off);
	bench_expect_exited(f, GHVM_VCPU_POWERED_OFF);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 133);
}

static void sigterm_before_the_start_ends_it(void **state)
{
	struct bench *f = *state;

	bench_launch(f);
	bench_expect_hello(f);
	bench_expect(f, GHVM_LINK_READY);
	kill(getpid(), SIGTERM);
	bench_expect_stop(f, GHVM_LINK_GRACEFUL);
	assert_int_equal(bench_join(f), 0);
	assert_int_equal(f->hosts[0].runs[0], 0);
}

static void the_manager_can_stop_it_too(void **state)
{
	struct bench *f = *state;

	SCRIPT(f, listens_to_key);
	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 10);
	bench_say_stop(f, GHVM_LINK_GRACEFUL);
	bench_wait_rings(&f->hosts[0], GHVM_DOORBELL_PL061);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

static void bad_starts_fail(void **state)
{
	struct bench *f = *state;

	f->fds.machine = memfd_create("empty", 0); /* not sealed, not a machine */
	bench_launch(f);
	assert_int_equal(bench_join(f), 1);

	bench_tear_down(state);
	bench_set_up(state);
	f = *state;
	f->config.name = "other";
	bench_launch(f);
	assert_int_equal(bench_join(f), 1);

	bench_tear_down(state);
	bench_set_up(state);
	f = *state;
	f->info.vcpus[1].virq.intid = 5; /* the grant does not have it */
	bench_launch(f);
	bench_expect_hello(f);
	assert_int_equal(bench_join(f), 1);

	bench_tear_down(state);
	bench_set_up(state);
	f = *state;
	f->open_error = -ENODEV;
	bench_launch(f);
	assert_int_equal(bench_join(f), 1);

	bench_tear_down(state);
	bench_set_up(state);
	f = *state;
	closep(&f->fds.wake[1]);
	f->fds.wake[1] = -1;
	bench_launch(f);
	assert_int_equal(bench_join(f), 1);
}

static void says_what_its_devices_have_done(void **state)
{
	static const uint8_t serial[4] = { 1, 2, 3, 4 };
	struct ghvm_link_device v[GHVM_LINK_DEVICES_MAX];
	struct bench *f = *state;

	bench_start(f);
	bench_say(f, GHVM_LINK_DEVICES, serial, 3, NULL, 0); /* not answered */
	bench_say(f, GHVM_LINK_DEVICES, serial, 4, NULL, 0);
	bench_expect(f, GHVM_LINK_DEVICES);
	assert_int_equal(ghvm_get_u32(&f->m.payload), 0x04030201);
	assert_int_equal(ghvm_link_get_devices(&f->m.payload, v), f->info.n_devices);
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	for (size_t i = 0; i < f->info.n_devices; i++) {
		assert_string_equal(v[i].kind, f->info.devices[i].name);
		assert_int_equal(v[i].ipa, f->info.devices[i].ipa);
	}
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

/* A device that accesses RAM, of which there is no file, or one that may shrink. */
static void ram_is_missing(void **state)
{
	struct bench *f = *state;

	for (unsigned int i = 0; i < 2; i++) {
		f->info.dma[0] = (struct ghvm_runinfo_region){ GHVM_LABEL_RAM, GHVM_IPA_RAM, 4096 };
		f->info.n_dma = 1;
		f->info.devices[f->info.n_devices++] = (struct ghvm_runinfo_device){
			.name = "rng", .ipa = GHVM_IPA_DEVICES, .doorbell = 2
		};
		if (i == 1)
			f->fds.ram = memfd_create("ram", MFD_CLOEXEC);
		bench_launch(f);
		assert_int_equal(bench_join(f), 1);
		if (i == 1)
			break;
		bench_tear_down(state);
		bench_set_up(state);
		f = *state;
	}
}

static void fds_by_name(void **state)
{
	struct ghvm_error err = {};
	struct fds f;
	char name[16];

	fds_init(&f);
	assert_int_equal(fds_check(&f, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "grant"));
	assert_int_equal(fds_add(&f, "grant", dup(0)), 0);
	assert_int_equal(fcntl(f.grant, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fds_add(&f, "grant", dup(0)), -EEXIST);
	assert_int_equal(fds_add(&f, "control", dup(0)), 0);
	assert_int_equal(fds_check(&f, &err), -ENOENT);
	assert_int_equal(fds_add(&f, "machine", dup(0)), 0);
	assert_int_equal(fds_check(&f, &err), 0);
	assert_int_equal(fds_add(&f, "listen", dup(0)), 0);
	assert_int_equal(fds_add(&f, "console-log", dup(0)), 0);
	assert_int_equal(fds_add(&f, "console-log-7", dup(0)), 0);
	assert_true(f.console_log[0] >= 0 && f.console_log[7] >= 0);
	assert_int_equal(fds_add(&f, "console-log-8", dup(0)), -ENOENT);
	assert_int_equal(fds_add(&f, "refused", dup(0)), 0);
	assert_int_equal(fds_add(&f, "ram", dup(0)), 0);
	assert_true(f.ram >= 0);
	assert_int_equal(fds_add(&f, "window-7", bench_memory()), 0);
	assert_true(ghvm_region_fds_get(&f.regions, 7) >= 0);
	assert_int_equal(fds_add(&f, "window-8", dup(0)), -EBADF);
	assert_int_equal(fds_add(&f, "window-", bench_memory()), -ENOENT);
	assert_int_equal(fds_add(&f, "window-8x", bench_memory()), -ENOENT);
	assert_int_equal(fds_add(&f, "window-4294967296", bench_memory()), -ENOENT);
	for (int i = 0; i < GHVM_SPEC_CPUS_MAX; i++) {
		snprintf(name, sizeof(name), "wake-%d", i);
		assert_int_equal(fds_add(&f, name, dup(0)), 0);
		assert_true(f.wake[i] >= 0);
	}
	assert_int_equal(fds_add(&f, "wake-8", dup(0)), -ENOENT);
	assert_int_equal(fds_add(&f, "wake-", dup(0)), -ENOENT);
	assert_int_equal(fds_add(&f, "wake-01", dup(0)), -ENOENT);
	assert_int_equal(fds_add(&f, "", dup(0)), -ENOENT);
	fds_done(&f);
	assert_int_equal(f.grant, -1);
}

static void fds_by_name_leak_nothing(void **state)
{
	unsigned int before = bench_count_fds();

	fds_by_name(state);
	assert_int_equal(bench_count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(says_what_its_devices_have_done),
		BENCH_TEST(nothing_runs_before_started),
		BENCH_TEST(the_verdict_is_the_status),
		BENCH_TEST(an_end_may_come_before_the_vcpus_notice),
		BENCH_TEST(a_guest_that_hangs_is_ended_by_its_watchdog),
		BENCH_TEST(a_watchdog_may_only_be_logged),
		BENCH_TEST(a_grant_taken_back_is_no_failure),
		BENCH_TEST(a_vcpu_that_cannot_run_is_a_failure),
		BENCH_TEST(a_refusal_fails),
		BENCH_TEST(sigterm_presses_the_key),
		BENCH_TEST(patience_ends),
		BENCH_TEST(without_a_key_force_is_all_there_is),
		BENCH_TEST(a_guest_that_resets_while_asked_to_stop_has_stopped),
		BENCH_TEST(sigint_reboots),
		BENCH_TEST(sigterm_before_the_start_ends_it),
		BENCH_TEST(the_manager_can_stop_it_too),
		BENCH_TEST(bad_starts_fail),
		BENCH_TEST(ram_is_missing),
		cmocka_unit_test(fds_by_name_leak_nothing),
	};

	runner_block_signals();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
