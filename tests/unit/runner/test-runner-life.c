/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runner while its guest lives: console, reboots in place, managers that go and come,
 * messages that make no sense.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <systemd/sd-daemon.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/plan.h"
#include "tests/fixtures/runner.h"

#define UART_WRITE(c)                                                                              \
	{                                                                                          \
		.state = GHVM_VCPU_MMIO_WRITE, .data = { GHVM_IPA_UART, 1, (c) }                   \
	}

static const struct scripted_step says_hi[] = {
	{ .state = GHVM_VCPU_MMIO_WRITE, .data = { GHVM_IPA_UART + 1, 1, 1 } }, /* IER */
	UART_WRITE('H'),
	UART_WRITE('i'),
};

static atomic_uint refused_readies; /* so many READY=1 more find systemd's socket full */

/* Takes the place of libsystemd's function in this program. */
int sd_notify(int unset_environment, const char *text)
{
	int (*systemd)(int, const char *) = dlsym(RTLD_NEXT, "sd_notify");

	if (strstr(text, "READY=1") && refused_readies) {
		refused_readies--;
		return -ENOBUFS;
	}
	return systemd(unset_environment, text);
}

static void read_exactly(int fd, char *buf, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (size_t got = 0; got < n;) {
		ssize_t r;

		assert_int_equal(poll(&p, 1, 5000), 1);
		r = read(fd, buf + got, n - got);
		assert_true(r > 0);
		got += (size_t)r;
	}
}

static int open_console(struct bench *f, uint32_t serial, uint8_t flags)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	uint32_t error;
	char path[64];

	ghvm_put_u32(&w, serial);
	ghvm_put_u8(&w, flags);
	bench_say(f, GHVM_LINK_CONSOLE, buf, w.len, NULL, 0);
	bench_expect(f, GHVM_LINK_CONSOLE_IS);
	assert_int_equal(ghvm_get_u32(&f->m.payload), serial);
	ghvm_link_get_string(&f->m.payload, path, sizeof(path));
	assert_string_equal(path, "");
	error = ghvm_get_u32(&f->m.payload);
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	return f->m.n_fds ? TAKE_FD(f->m.fds[0]) : -(int)error;
}

static void the_console_goes_both_ways(void **state)
{
	struct bench *f = *state;
	char buf[8];
	int fd;

	SCRIPT(f, says_hi);
	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 10);
	fd = open_console(f, 7, 0);
	read_exactly(fd, buf, 2);
	assert_memory_equal(buf, "Hi", 2);
	assert_int_equal(write(fd, "x", 1), 1);
	bench_wait_rings(&f->hosts[0], GHVM_DOORBELL_UART);
	close(fd);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
	assert_int_equal(pread(f->log, buf, 8, 0), 2);
	assert_memory_equal(buf, "Hi", 2);
}

static void systemd_hears_of_the_start_at_last(void **state)
{
	struct bench *f = *state;
	struct pollfd p = { .fd = f->notify, .events = POLLIN };

	refused_readies = 2;
	bench_start(f);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_true(bench_notified(f, "READY=1"));
	assert_int_equal(refused_readies, 0);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
	assert_false(bench_notified(f, "READY=1"));
}

static void say_ping(struct bench *f, uint32_t serial)
{
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = 4 };

	ghvm_put_u32(&w, serial);
	bench_say(f, GHVM_LINK_PING, buf, 4, NULL, 0);
}

/* Its socket takes 278 messages. It reads on some day, and has missed nothing. */
static void a_manager_that_does_not_read_is_not_gone(void **state)
{
	struct bench *f = *state;
	const uint32_t n = 300;

	bench_start(f);
	for (uint32_t i = 0; i < n; i++)
		say_ping(f, i);
	(void)poll(NULL, 0, 200); /* the runner has heard all of it */
	for (uint32_t i = 0; i < n; i++) {
		bench_expect(f, GHVM_LINK_PONG);
		assert_int_equal(ghvm_get_u32(&f->m.payload), i);
	}
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), RUNNER_EXIT_OK);
}

static void consoles_as_they_are_asked_for(void **state)
{
	struct bench *f = *state;
	int fd, watch;
	char c;

	bench_start(f);
	fd = open_console(f, 1, 0);
	assert_true(fd >= 0);
	assert_int_equal(open_console(f, 2, 0), -EBUSY);
	watch = open_console(f, 3, GHVM_LINK_CONSOLE_READ_ONLY);
	assert_true(watch >= 0);
	close(watch);
	watch = open_console(f, 4, GHVM_LINK_CONSOLE_FORCE);
	assert_true(watch >= 0);
	assert_int_equal(read(fd, &c, 1), 0);
	close(watch);
	close(fd);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), RUNNER_EXIT_OK);
}

/* Which sends no flags, and cannot read an errno. */
static void an_earlier_manager_asks(void **state)
{
	struct bench *f = *state;
	uint8_t buf[4] = { 5 };
	char path[8];

	bench_start(f);
	bench_say(f, GHVM_LINK_CONSOLE, buf, sizeof(buf), NULL, 0);
	bench_expect(f, GHVM_LINK_CONSOLE_IS);
	assert_int_equal(ghvm_get_u32(&f->m.payload), 5);
	ghvm_link_get_string(&f->m.payload, path, sizeof(path));
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	assert_int_equal(f->m.n_fds, 1);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), RUNNER_EXIT_OK);
}

static void no_console_no_descriptor(void **state)
{
	struct bench *f = *state;

	f->info.devices[0] = f->info.devices[1]; /* the key alone */
	f->info.n_devices = 1;
	bench_start(f);
	assert_int_equal(open_console(f, 1, 0), -ENOTTY);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

static void say_region(struct bench *f, uint32_t type, uint32_t label, int fd)
{
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, label);
	bench_say(f, type, buf, w.len, &fd, fd >= 0);
}

static void expect_region(struct bench *f, uint32_t label)
{
	bench_expect(f, GHVM_LINK_REGION_FD);
	assert_int_equal(ghvm_get_u32(&f->m.payload), label);
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	assert_int_equal(f->m.n_fds, 1);
	assert_true(ghvm_region_fd_sealed(f->m.fds[0]));
}

/* It keeps what it was started with and what came since, and gives it back as often as it is asked. */
static void keeps_the_memory_of_regions(void **state)
{
	struct bench *f = *state;
	_cleanup_(closep) int fd = bench_memory(), unsealed = memfd_create("x", MFD_CLOEXEC);

	assert_int_equal(fds_add(&f->fds, "window-5", dup(fd)), 0);
	bench_start(f);
	say_region(f, GHVM_LINK_REGION_FD, 7, fd);
	say_region(f, GHVM_LINK_REGION_FD, 8, fd);
	say_region(f, GHVM_LINK_REGION_FD, 9, -1);
	say_region(f, GHVM_LINK_REGION_FD, 10, unsealed);
	say_region(f, GHVM_LINK_REGION_GONE, 8, -1);
	say_region(f, GHVM_LINK_REGION_GONE, 77, -1);
	for (int i = 0; i < 2; i++) {
		bench_say(f, GHVM_LINK_REGION_FDS, NULL, 0, NULL, 0);
		expect_region(f, 5);
		expect_region(f, 7);
		say_ping(f, 1);
		bench_expect(f, GHVM_LINK_PONG); /* and nothing else */
	}
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

static void nonsense_is_ignored(void **state)
{
	static const uint32_t types[] = { GHVM_LINK_ENDED,   GHVM_LINK_REBUILT,
					  GHVM_LINK_STOP,    GHVM_LINK_CONSOLE,
					  GHVM_LINK_PING,    GHVM_LINK_STARTED,
					  GHVM_LINK_HELLO,   GHVM_LINK_BUILT,
					  GHVM_LINK_DEVICES, 9999 };
	struct bench *f = *state;
	static const uint8_t serial[4] = { 1, 2, 3, 4 };
	int fds[GHVM_LINK_FDS_MAX];

	for (size_t i = 0; i < GHVM_LINK_FDS_MAX; i++)
		fds[i] = f->log;
	bench_start(f);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		bench_say(f, types[i], NULL, 0, fds, i == 1 ? 2 : i); /* REBUILT out of turn */
	bench_say(f, GHVM_LINK_PING, serial, 4, fds, GHVM_LINK_FDS_MAX);
	bench_expect(f, GHVM_LINK_PONG);
	assert_int_equal(ghvm_get_u32(&f->m.payload), 0x04030201);
	bench_wait_runs(&f->hosts[0], 0, 10);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

static void reboots_in_place(void **state)
{
	struct bench *f = *state;
	int fd, left;
	char buf[8];

	SCRIPT(f, bench_reset);
	bench_start(f);
	bench_expect_exited(f, GHVM_VCPU_SYSTEM_RESET);
	fd = open_console(f, 1, 0);
	left = f->hosts[0].fd;
	bench_say_ended(f, GHVM_EXIT_SYSTEM_RESET, GHVM_LINK_WAIT);
	for (int i = 0; fcntl(left, F_GETFD) >= 0; i++) { /* the grant is let go first */
		assert_true(i < 5000);
		usleep(1000);
	}
	assert_int_equal(write(fd, "?", 1), 1); /* typed while there is no guest */
	scripted_host_script(&f->hosts[1], 0, says_hi, ARRAY_SIZE(says_hi));
	f->info.vmid.id++;
	bench_say_rebuilt(f, &f->info);
	bench_expect(f, GHVM_LINK_READY);
	assert_int_equal(scripted_host_runs(&f->hosts[1], 0), 0);
	bench_say(f, GHVM_LINK_STARTED, NULL, 0, NULL, 0);
	read_exactly(fd, buf, 2);
	assert_memory_equal(buf, "Hi", 2);
	bench_wait_rings(&f->hosts[1], GHVM_DOORBELL_UART);
	assert_int_equal(scripted_host_rings(&f->hosts[0], GHVM_DOORBELL_UART), 0);
	scripted_host_script(&f->hosts[1], 0, bench_off, ARRAY_SIZE(bench_off));
	bench_expect_exited(f, GHVM_VCPU_POWERED_OFF);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 0);
	assert_int_equal(f->opened, 2);
	close(fd);
}

static void a_rebuild_as_another_vm_fails(void **state)
{
	struct bench *f = *state;

	SCRIPT(f, bench_reset);
	bench_start(f);
	bench_expect_exited(f, GHVM_VCPU_SYSTEM_RESET);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_RESET, GHVM_LINK_WAIT);
	strcpy(f->info.name, "other");
	bench_say_rebuilt(f, &f->info);
	assert_int_equal(bench_join(f), 1);
}

/* Their registers would be elsewhere than the new tree says. */
static void a_rebuild_with_other_devices_fails(void **state)
{
	struct bench *f = *state;

	SCRIPT(f, bench_reset);
	bench_start(f);
	bench_expect_exited(f, GHVM_VCPU_SYSTEM_RESET);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_RESET, GHVM_LINK_WAIT);
	f->info.n_devices--;
	bench_say_rebuilt(f, &f->info);
	assert_int_equal(bench_join(f), 1);
}

static void a_device_of_a_later_version_is_refused(void **state)
{
	struct bench *f = *state;

	f->info.devices[f->info.n_devices++] = (struct ghvm_runinfo_device){
		.name = "toaster",
		.ipa = GHVM_IPA_DEVICES,
		.doorbell = GHVM_DOORBELL_NONE,
	};
	bench_launch(f);
	assert_int_equal(bench_join(f), 1);
	assert_int_equal(f->opened, 0);
}

static void the_guest_survives_its_manager(void **state)
{
	struct bench *f = *state;
	static const uint8_t serial[4] = { 9 };

	bench_start(f);
	for (int i = 0; i < 3; i++) {
		bench_wait_runs(&f->hosts[0], 0, 10);
		bench_hang_up(f);
		bench_wait_runs(&f->hosts[0], 0, 1000);
		bench_dial(f);
		bench_expect_hello(f);
		bench_say(f, GHVM_LINK_PING, serial, 4, NULL, 0);
		bench_expect(f, GHVM_LINK_PONG);
	}
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

static void a_new_manager_learns_of_the_end(void **state)
{
	struct bench *f = *state;

	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 1);
	bench_hang_up(f);
	SCRIPT(f, bench_off);
	usleep(100000);
	bench_dial(f);
	bench_expect_hello(f);
	bench_expect_exited(f, GHVM_VCPU_POWERED_OFF);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 0);
}

static void a_manager_may_come_between_ready_and_started(void **state)
{
	struct bench *f = *state;

	bench_launch(f);
	bench_expect_hello(f);
	bench_expect(f, GHVM_LINK_READY);
	bench_hang_up(f);
	bench_dial(f);
	bench_expect_hello(f);
	bench_say(f, GHVM_LINK_STARTED, NULL, 0, NULL, 0);
	bench_wait_runs(&f->hosts[0], 0, 1);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

static void an_orphan_judges_by_what_it_saw(void **state)
{
	static const struct {
		const struct scripted_step *steps;
		size_t n;
		uint8_t on_reboot, on_crash, on_watchdog;
		int status;
	} cases[] = {
		{ bench_off, 2, GHVM_ON_END_RESTART, GHVM_ON_END_RESTART, 0, 0 },
		{ bench_reset, 1, GHVM_ON_END_RESTART, GHVM_ON_END_STOP, 0, 133 },
		{ bench_reset, 1, GHVM_ON_END_STOP, GHVM_ON_END_STOP, 0, 0 },
		{ bench_fault, 1, GHVM_ON_END_STOP, GHVM_ON_END_STOP, 0, 134 },
		{ bench_fault, 1, GHVM_ON_END_STOP, GHVM_ON_END_RESTART, 0, 1 },
		{ bench_hang, 2, GHVM_ON_END_RESTART, GHVM_ON_END_RESTART, GHVM_ON_END_STOP, 134 },
		{ bench_hang, 2, GHVM_ON_END_STOP, GHVM_ON_END_STOP, GHVM_ON_END_RESTART, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench *f;

		if (i) {
			assert_int_equal(bench_tear_down(state), 0);
			assert_int_equal(bench_set_up(state), 0);
		}
		f = *state;
		f->config.orphan_ms = 50;
		f->info.on_reboot = cases[i].on_reboot;
		f->info.on_crash = cases[i].on_crash;
		bench_add_watchdog(f, cases[i].on_watchdog);
		bench_start(f);
		bench_wait_runs(&f->hosts[0], 0, 1);
		bench_hang_up(f);
		bench_wait_runs(&f->hosts[0], 0, 1);
		usleep(100000); /* longer than an orphan waits: but the guest runs */
		bench_script(f, cases[i].steps, cases[i].n);
		assert_int_equal(bench_join(f), cases[i].status);
	}
}

/* CPU_OFF of them all: nothing can turn one on again, and RM says nothing of it. */
static void a_guest_that_turns_every_vcpu_off_has_ended(void **state)
{
	static const struct scripted_step off[] = {
		{ .state = GHVM_VCPU_POWERED_OFF, .repeat = 1000 },
	};
	struct bench *f = *state;

	scripted_host_script(&f->hosts[0], 0, off, 1);
	scripted_host_script(&f->hosts[0], 1, off, 1);
	bench_start(f);
	bench_expect_exited(f, GHVM_VCPU_POWERED_OFF);
	bench_say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 0);
}

static void one_vcpu_that_is_off_is_no_end(void **state)
{
	static const struct scripted_step off[] = { { .state = GHVM_VCPU_POWERED_OFF } };
	struct bench *f = *state;

	scripted_host_script(&f->hosts[0], 1, off, 1);
	bench_start(f);
	bench_expect_silence(f, 200);
	/* for a moment both are, which is no end either */
	scripted_host_script(&f->hosts[0], 0, off, 1);
	usleep(1000);
	scripted_host_fire(&f->hosts[0], 0);
	bench_expect_silence(f, 200);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

/* A thread may be late: that its vCPU was turned on meanwhile shows when it is run again. */
static void vcpus_that_were_off_are_run_again_before_it_counts(void **state)
{
	static const struct scripted_step off[] = { { .state = GHVM_VCPU_POWERED_OFF } };
	struct bench *f = *state;

	scripted_host_script(&f->hosts[0], 0, off, 1);
	scripted_host_script(&f->hosts[0], 1, off, 1);
	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 100); /* nothing but the look has woken it */
	bench_wait_runs(&f->hosts[0], 1, 100);
	bench_expect_silence(f, 200);
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

/*
 * The hypervisor kills the vCPUs that did not end the VM: they say that they are off for good,
 * before or after the one that knows more.
 */
static void what_says_most_of_an_end_counts(void **state)
{
	static const struct scripted_step dead[] = {
		{ .state = GHVM_VCPU_POWERED_OFF, .data = { 1 }, .repeat = 1000 },
	};
	struct bench *f;

	for (unsigned int first = 0; first < 2; first++) {
		if (first) {
			assert_int_equal(bench_tear_down(state), 0);
			assert_int_equal(bench_set_up(state), 0);
		}
		f = *state;
		f->config.orphan_ms = 50;
		bench_start(f);
		scripted_host_script(&f->hosts[0], first, first ? dead : bench_reset, 1);
		bench_expect_exited(f, first ? GHVM_VCPU_POWERED_OFF : GHVM_VCPU_SYSTEM_RESET);
		scripted_host_script(&f->hosts[0], !first, first ? bench_reset : dead, 1);
		if (first)
			bench_expect_exited(f, GHVM_VCPU_SYSTEM_RESET);
		else
			bench_expect_silence(f, 100);
		bench_hang_up(f);
		assert_int_equal(bench_join(f), 133);
	}
}

static void await_notice(struct bench *f, const char *what)
{
	for (int i = 0; !bench_notified(f, what); i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
}

/* A loop of exceptions in a production image, or a long computation: it is only said. */
static void a_vcpu_that_never_comes_out_is_spoken_of(void **state)
{
	static const struct scripted_step asleep[] = {
		{ .state = GHVM_VCPU_EXPECTS_WAKEUP, .data = { 0, 1 }, .repeat = 1000000 },
	};
	struct bench *f = *state;

	f->config.quiet_ms = 100;
	scripted_host_script(&f->hosts[0], 0, says_hi, ARRAY_SIZE(says_hi));
	scripted_host_script(&f->hosts[0], 1, asleep, 1);
	bench_start(f);
	await_notice(f, "STATUS=Running; vCPU 0 runs without an exit since 2");
	scripted_host_script(&f->hosts[0], 0, asleep, 1);
	await_notice(f, "STATUS=Running");
	usleep(300000); /* asleep is not lost */
	assert_false(bench_notified(f, "without"));
	bench_say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(bench_join(f), 0);
}

/* The grant was revoked: the manager undoes the guest and will tell. */
static void a_revoked_grant_waits_for_the_managers_word(void **state)
{
	struct bench *f = *state;

	bench_start(f);
	bench_wait_runs(&f->hosts[0], 0, 1);
	scripted_host_revoke(&f->hosts[0]);
	bench_expect_exited(f, VCPU_THREAD_STOPPED);
	bench_say_ended(f, GHVM_EXIT_FORCED, GHVM_LINK_EXIT_OK);
	assert_int_equal(bench_join(f), 0);
}

static void without_a_manager_no_start(void **state)
{
	struct bench *f = *state;

	f->config.orphan_ms = 50;
	bench_launch(f);
	bench_expect_hello(f);
	bench_expect(f, GHVM_LINK_READY);
	bench_hang_up(f);
	assert_int_equal(bench_join(f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(the_console_goes_both_ways),
		BENCH_TEST(a_manager_that_does_not_read_is_not_gone),
		BENCH_TEST(systemd_hears_of_the_start_at_last),
		BENCH_TEST(consoles_as_they_are_asked_for),
		BENCH_TEST(an_earlier_manager_asks),
		BENCH_TEST(no_console_no_descriptor),
		BENCH_TEST(keeps_the_memory_of_regions),
		BENCH_TEST(nonsense_is_ignored),
		BENCH_TEST(reboots_in_place),
		BENCH_TEST(a_rebuild_as_another_vm_fails),
		BENCH_TEST(a_rebuild_with_other_devices_fails),
		BENCH_TEST(a_device_of_a_later_version_is_refused),
		BENCH_TEST(the_guest_survives_its_manager),
		BENCH_TEST(a_new_manager_learns_of_the_end),
		BENCH_TEST(a_manager_may_come_between_ready_and_started),
		BENCH_TEST(an_orphan_judges_by_what_it_saw),
		BENCH_TEST(without_a_manager_no_start),
		BENCH_TEST(a_guest_that_turns_every_vcpu_off_has_ended),
		BENCH_TEST(one_vcpu_that_is_off_is_no_end),
		BENCH_TEST(vcpus_that_were_off_are_run_again_before_it_counts),
		BENCH_TEST(a_vcpu_that_never_comes_out_is_spoken_of),
		BENCH_TEST(what_says_most_of_an_end_counts),
		BENCH_TEST(a_revoked_grant_waits_for_the_managers_word),
	};

	runner_block_signals();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
