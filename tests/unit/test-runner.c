/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runner against a manager played by the test and a hypervisor that plays scripts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/runner/runner.h"
#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/layout.h"
#include "libghvm/link.h"
#include "libghvm/runinfo.h"
#include "tests/unit/scripted-host.h"

#define VMID 0x85
#define INCARNATION 0x1122334455667788ULL

/**
 * struct fixture - a runner and all that surrounds it
 * @hosts: of the first and of the second life; @opened: how many were
 * @manager: our end of the control socket
 * @dial: where the runner listens
 * @notify: what it tells systemd
 */
struct fixture {
	struct scripted_host hosts[2];
	unsigned int opened;
	int open_error;
	struct ghvm_runinfo info;
	struct fds fds;
	struct runner_config config;
	int manager;
	struct sockaddr_un dial;
	socklen_t dial_size;
	int notify;
	int log;
	unsigned int fds_before;
	bool runs;
	pthread_t thread;
	struct ghvm_link_message m;
};

static struct fixture *current;

static unsigned int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int open_host(int fd, struct ghvm_host **ret, struct ghvm_error *err)
{
	struct fixture *f = current;

	if (f->open_error)
		return ghvm_error_set(err, f->open_error, "no host");
	f->hosts[f->opened].fd = fd;
	*ret = &f->hosts[f->opened++].host;
	return 0;
}

static void make_listener(struct fixture *f)
{
	f->fds.listen = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	f->dial = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_int_equal(bind(f->fds.listen, (struct sockaddr *)&f->dial, sizeof(sa_family_t)), 0);
	f->dial_size = sizeof(f->dial);
	assert_int_equal(getsockname(f->fds.listen, (struct sockaddr *)&f->dial, &f->dial_size), 0);
	assert_int_equal(listen(f->fds.listen, 4), 0);
}

static void make_notify(struct fixture *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(a);

	f->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->notify, (struct sockaddr *)&a, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(f->notify, (struct sockaddr *)&a, &size), 0);
	a.sun_path[0] = '@';
	a.sun_path[size - offsetof(struct sockaddr_un, sun_path)] = '\0';
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
}

static void make_info(struct ghvm_runinfo *info)
{
	*info = (struct ghvm_runinfo){
		.name = "demo",
		.vmid = { VMID },
		.incarnation = INCARNATION,
		.stop_timeout_ms = 20000,
		.console = 1,
		.power_key = 1,
		.on_reboot = GHVM_ON_END_RESTART,
		.on_crash = GHVM_ON_END_STOP,
		.vcpus = { { { 0 }, { 1000 } }, { { 1 }, { 1001 } } },
		.n_vcpus = 2,
		.doorbells = { { GHVM_DOORBELL_UART, { SCRIPTED_BELL_CAP } },
			       { GHVM_DOORBELL_PL061, { SCRIPTED_BELL_CAP + 1 } } },
		.n_doorbells = 2,
	};
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	f->fds_before = count_fds();
	scripted_host_init(&f->hosts[0]);
	scripted_host_init(&f->hosts[1]);
	fds_init(&f->fds);
	make_info(&f->info);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	f->manager = pair[0];
	f->fds.control = pair[1];
	make_listener(f);
	make_notify(f);
	f->log = memfd_create("log", 0);
	f->fds.console_log = dup(f->log);
	f->fds.grant = memfd_create("grant", 0);
	f->fds.wake[0] = eventfd(0, EFD_NONBLOCK);
	f->fds.wake[1] = eventfd(0, EFD_NONBLOCK);
	f->config = (struct runner_config){
		.name = "demo",
		.fds = &f->fds,
		.open_host = open_host,
		.orphan_ms = 10000,
	};
	current = f;
	*state = f;
	return 0;
}

static void *thread_main(void *data)
{
	struct fixture *f = data;

	return (void *)(intptr_t)runner_run(&f->config);
}

static void launch(struct fixture *f)
{
	if (f->fds.machine < 0)
		f->fds.machine = ghvm_runinfo_write(&f->info);
	assert_true(f->fds.machine >= 0);
	f->runs = pthread_create(&f->thread, NULL, thread_main, f) == 0;
	assert_true(f->runs);
}

static int join(struct fixture *f)
{
	struct timespec until;
	void *status;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	assert_int_equal(pthread_timedjoin_np(f->thread, &status, &until), 0);
	f->runs = false;
	return (int)(intptr_t)status;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->runs) { /* the test failed: its runner keeps what it uses, and ends some day */
		closep(&f->manager);
		return 0;
	}
	ghvm_link_message_done(&f->m);
	closep(&f->manager);
	close(f->notify);
	close(f->log);
	assert_int_equal(count_fds(), f->fds_before);
	free(f);
	return 0;
}

/* --- the manager's part --- */

static void say(struct fixture *f, uint32_t type, const void *payload, size_t n, const int *fds,
		size_t n_fds)
{
	struct ghvm_put w = { .buf = (uint8_t *)payload, .cap = n, .len = n };

	assert_int_equal(ghvm_link_send(f->manager, type, &w, fds, n_fds), 0);
}

static void expect(struct fixture *f, uint32_t type)
{
	struct pollfd p = { .fd = f->manager, .events = POLLIN };

	ghvm_link_message_done(&f->m);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(ghvm_link_recv(f->manager, &f->m), 1);
	assert_int_equal(f->m.type, type);
}

static void expect_silence(struct fixture *f, int ms)
{
	struct pollfd p = { .fd = f->manager, .events = POLLIN };

	assert_int_equal(poll(&p, 1, ms), 0);
}

static void expect_hello(struct fixture *f)
{
	expect(f, GHVM_LINK_RUNNER);
	assert_int_equal(ghvm_get_u16(&f->m.payload), VMID);
	assert_int_equal(ghvm_get_u64(&f->m.payload), INCARNATION);
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	assert_int_equal(f->m.n_fds, 1);
}

static void expect_exited(struct fixture *f, uint64_t state)
{
	expect(f, GHVM_LINK_EXITED);
	assert_int_equal(ghvm_get_u64(&f->m.payload), state);
	(void)ghvm_get_u64(&f->m.payload);
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
}

static void expect_stop(struct fixture *f, enum ghvm_link_how how)
{
	expect(f, GHVM_LINK_STOP);
	assert_int_equal(ghvm_get_u8(&f->m.payload), how);
}

static void say_ended(struct fixture *f, uint32_t type, uint32_t action)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, type);
	ghvm_put_u32(&w, action);
	say(f, GHVM_LINK_ENDED, buf, w.len, NULL, 0);
}

static void say_stop(struct fixture *f, uint8_t how)
{
	say(f, GHVM_LINK_STOP, &how, 1, NULL, 0);
}

static void say_rebuilt(struct fixture *f, const struct ghvm_runinfo *info)
{
	int fds[2] = { ghvm_runinfo_write(info), memfd_create("grant", 0) };

	say(f, GHVM_LINK_REBUILT, NULL, 0, fds, 2);
	close(fds[0]);
	close(fds[1]);
}

static void dial(struct fixture *f)
{
	f->manager = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(connect(f->manager, (struct sockaddr *)&f->dial, f->dial_size), 0);
}

static void hang_up(struct fixture *f)
{
	close(f->manager);
	f->manager = -1;
}

static bool notified(struct fixture *f, const char *what)
{
	char buf[256];
	ssize_t n;

	while ((n = recv(f->notify, buf, sizeof(buf) - 1, 0)) > 0) {
		buf[n] = '\0';
		if (strstr(buf, what))
			return true;
	}
	return false;
}

static void start(struct fixture *f)
{
	launch(f);
	expect_hello(f);
	expect(f, GHVM_LINK_READY);
	say(f, GHVM_LINK_STARTED, NULL, 0, NULL, 0);
}

static void wait_runs(struct scripted_host *h, unsigned int vcpu, uint64_t more)
{
	uint64_t until = scripted_host_runs(h, vcpu) + more;

	for (int i = 0; scripted_host_runs(h, vcpu) < until; i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
}

static void wait_rings(struct scripted_host *h, unsigned int bell)
{
	for (int i = 0; !scripted_host_rings(h, bell); i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
}

static const struct scripted_step off[] = {
	{ .state = GHVM_VCPU_POWERED_OFF, .fire = 1 },
	{ .state = GHVM_VCPU_POWERED_OFF, .data = { 1 }, .repeat = 1000 },
};
static const struct scripted_step reset[] = {
	{ .state = GHVM_VCPU_SYSTEM_RESET, .data = { 1ULL << 63 }, .repeat = 1000 },
};
static const struct scripted_step fault[] = { { .state = GHVM_VCPU_FAULT, .repeat = 1000 } };
static const struct scripted_step parked[] = {
	{ .state = GHVM_VCPU_POWERED_OFF, .repeat = 1000 },
};

static void script(struct fixture *f, const struct scripted_step *s, size_t n)
{
	scripted_host_script(&f->hosts[0], 0, s, n);
	scripted_host_script(&f->hosts[0], 1, parked, 1);
}

#define SCRIPT(f, s) script(f, s, ARRAY_SIZE(s))

/* --- the tests --- */

static void nothing_runs_before_started(void **state)
{
	struct fixture *f = *state;

	SCRIPT(f, off);
	launch(f);
	expect_hello(f);
	expect(f, GHVM_LINK_READY);
	assert_true(f->hosts[0].eventfds[0] >= 0 && f->hosts[0].eventfds[1] >= 0);
	expect_silence(f, 50);
	assert_int_equal(scripted_host_runs(&f->hosts[0], 0), 0);
	assert_false(notified(f, "READY=1"));
	say(f, GHVM_LINK_STARTED, NULL, 0, NULL, 0);
	expect_exited(f, GHVM_VCPU_POWERED_OFF);
	assert_true(notified(f, "READY=1"));
	say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(join(f), 0);
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
		struct fixture *f;

		if (i) {
			assert_int_equal(tear_down(state), 0);
			assert_int_equal(set_up(state), 0);
		}
		f = *state;
		SCRIPT(f, fault);
		start(f);
		expect_exited(f, GHVM_VCPU_FAULT);
		say_ended(f, GHVM_EXIT_SOFTWARE_ERROR, cases[i].action);
		assert_int_equal(join(f), cases[i].status);
	}
}

static void an_end_may_come_before_the_vcpus_notice(void **state)
{
	struct fixture *f = *state;

	start(f); /* they spin */
	wait_runs(&f->hosts[0], 1, 10);
	say_ended(f, GHVM_EXIT_WATCHDOG, GHVM_LINK_EXIT_RESTART);
	assert_int_equal(join(f), 133);
}

static void a_refusal_fails(void **state)
{
	struct fixture *f = *state;
	static const uint8_t text[] = { 2, 0, 'n', 'o' };

	launch(f);
	expect_hello(f);
	expect(f, GHVM_LINK_READY);
	say(f, GHVM_LINK_REFUSED, text, sizeof(text), NULL, 0);
	assert_int_equal(join(f), 1);
	assert_int_equal(f->hosts[0].runs[0], 0);
}

static const struct scripted_step listens_to_key[] = {
	{ .state = GHVM_VCPU_MMIO_WRITE, .data = { GHVM_IPA_PL061 + 0x408, 1, 8 } },
	{ .state = GHVM_VCPU_MMIO_WRITE, .data = { GHVM_IPA_PL061 + 0x410, 1, 8 } },
};

static void sigterm_presses_the_key(void **state)
{
	struct fixture *f = *state;

	SCRIPT(f, listens_to_key);
	start(f);
	wait_runs(&f->hosts[0], 0, 10);
	kill(getpid(), SIGTERM);
	expect_stop(f, GHVM_LINK_GRACEFUL);
	wait_rings(&f->hosts[0], GHVM_DOORBELL_PL061);
	assert_true(notified(f, "EXTEND_TIMEOUT_USEC=30000000"));
	kill(getpid(), SIGTERM); /* again: no more than once is asked */
	expect_stop(f, GHVM_LINK_GRACEFUL);
	SCRIPT(f, off);
	expect_exited(f, GHVM_VCPU_POWERED_OFF);
	say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(join(f), 0);
}

static void patience_ends(void **state)
{
	struct fixture *f = *state;

	f->info.stop_timeout_ms = 200;
	start(f);
	kill(getpid(), SIGRTMIN + 4);
	expect_stop(f, GHVM_LINK_GRACEFUL);
	expect_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(join(f), 0);
}

static void without_a_key_force_is_all_there_is(void **state)
{
	struct fixture *f = *state;

	f->info.power_key = 0;
	start(f);
	wait_runs(&f->hosts[0], 0, 1);
	kill(getpid(), SIGTERM);
	expect_stop(f, GHVM_LINK_GRACEFUL);
	expect_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(join(f), 0);
}

static void a_guest_that_resets_while_asked_to_stop_has_stopped(void **state)
{
	struct fixture *f = *state;

	start(f);
	wait_runs(&f->hosts[0], 0, 1);
	kill(getpid(), SIGTERM);
	expect_stop(f, GHVM_LINK_GRACEFUL);
	SCRIPT(f, reset);
	expect_exited(f, GHVM_VCPU_SYSTEM_RESET);
	say_ended(f, GHVM_EXIT_SYSTEM_RESET, GHVM_LINK_WAIT);
	assert_int_equal(join(f), 0);
}

static void sigint_reboots(void **state)
{
	struct fixture *f = *state;

	start(f);
	wait_runs(&f->hosts[0], 0, 1);
	kill(getpid(), SIGINT);
	expect_stop(f, GHVM_LINK_REBOOT);
	SCRIPT(f, off);
	expect_exited(f, GHVM_VCPU_POWERED_OFF);
	say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(join(f), 133);
}

static void sigterm_before_the_start_ends_it(void **state)
{
	struct fixture *f = *state;

	launch(f);
	expect_hello(f);
	expect(f, GHVM_LINK_READY);
	kill(getpid(), SIGTERM);
	expect_stop(f, GHVM_LINK_GRACEFUL);
	assert_int_equal(join(f), 0);
	assert_int_equal(f->hosts[0].runs[0], 0);
}

static void the_manager_can_stop_it_too(void **state)
{
	struct fixture *f = *state;

	SCRIPT(f, listens_to_key);
	start(f);
	wait_runs(&f->hosts[0], 0, 10);
	say_stop(f, GHVM_LINK_GRACEFUL);
	wait_rings(&f->hosts[0], GHVM_DOORBELL_PL061);
	say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(join(f), 0);
}

#define UART_WRITE(c)                                                                              \
	{                                                                                          \
		.state = GHVM_VCPU_MMIO_WRITE, .data = { GHVM_IPA_UART, 1, (c) }                   \
	}

static const struct scripted_step says_hi[] = {
	{ .state = GHVM_VCPU_MMIO_WRITE, .data = { GHVM_IPA_UART + 1, 1, 1 } }, /* IER */
	UART_WRITE('H'),
	UART_WRITE('i'),
};

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

static int open_console(struct fixture *f, uint32_t serial)
{
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = 4 };
	char path[64];

	ghvm_put_u32(&w, serial);
	say(f, GHVM_LINK_CONSOLE, buf, 4, NULL, 0);
	expect(f, GHVM_LINK_CONSOLE_IS);
	assert_int_equal(ghvm_get_u32(&f->m.payload), serial);
	ghvm_link_get_string(&f->m.payload, path, sizeof(path));
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	if (!f->m.n_fds) {
		assert_string_equal(path, "");
		return -1;
	}
	assert_int_equal(strncmp(path, "/dev/pts/", 9), 0);
	return TAKE_FD(f->m.fds[0]);
}

static void the_console_goes_both_ways(void **state)
{
	struct fixture *f = *state;
	char buf[8];
	int fd;

	SCRIPT(f, says_hi);
	start(f);
	wait_runs(&f->hosts[0], 0, 10);
	fd = open_console(f, 7);
	read_exactly(fd, buf, 2);
	assert_memory_equal(buf, "Hi", 2);
	assert_int_equal(write(fd, "x", 1), 1);
	wait_rings(&f->hosts[0], GHVM_DOORBELL_UART);
	close(fd);
	say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(join(f), 0);
	assert_int_equal(pread(f->log, buf, 8, 0), 2);
	assert_memory_equal(buf, "Hi", 2);
}

static void no_console_no_descriptor(void **state)
{
	struct fixture *f = *state;

	f->info.console = 0;
	start(f);
	assert_int_equal(open_console(f, 1), -1);
	say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(join(f), 0);
}

static void nonsense_is_ignored(void **state)
{
	static const uint32_t types[] = { GHVM_LINK_ENDED,   GHVM_LINK_REBUILT, GHVM_LINK_STOP,
					  GHVM_LINK_CONSOLE, GHVM_LINK_PING,	GHVM_LINK_STARTED,
					  GHVM_LINK_HELLO,   GHVM_LINK_BUILT,	9999 };
	struct fixture *f = *state;
	static const uint8_t serial[4] = { 1, 2, 3, 4 };
	int fds[GHVM_LINK_FDS_MAX];

	for (size_t i = 0; i < GHVM_LINK_FDS_MAX; i++)
		fds[i] = f->log;
	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		say(f, types[i], NULL, 0, fds, i == 1 ? 2 : i); /* REBUILT out of turn */
	say(f, GHVM_LINK_PING, serial, 4, fds, GHVM_LINK_FDS_MAX);
	expect(f, GHVM_LINK_PONG);
	assert_int_equal(ghvm_get_u32(&f->m.payload), 0x04030201);
	wait_runs(&f->hosts[0], 0, 10);
	say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(join(f), 0);
}

static void reboots_in_place(void **state)
{
	struct fixture *f = *state;
	int fd, left;
	char buf[8];

	SCRIPT(f, reset);
	start(f);
	expect_exited(f, GHVM_VCPU_SYSTEM_RESET);
	fd = open_console(f, 1);
	left = f->hosts[0].fd;
	say_ended(f, GHVM_EXIT_SYSTEM_RESET, GHVM_LINK_WAIT);
	for (int i = 0; fcntl(left, F_GETFD) >= 0; i++) { /* the grant is let go first */
		assert_true(i < 5000);
		usleep(1000);
	}
	assert_int_equal(write(fd, "?", 1), 1); /* typed while there is no guest */
	scripted_host_script(&f->hosts[1], 0, says_hi, ARRAY_SIZE(says_hi));
	f->info.vmid.id++;
	say_rebuilt(f, &f->info);
	expect(f, GHVM_LINK_READY);
	assert_int_equal(scripted_host_runs(&f->hosts[1], 0), 0);
	say(f, GHVM_LINK_STARTED, NULL, 0, NULL, 0);
	read_exactly(fd, buf, 2);
	assert_memory_equal(buf, "Hi", 2);
	wait_rings(&f->hosts[1], GHVM_DOORBELL_UART);
	assert_int_equal(scripted_host_rings(&f->hosts[0], GHVM_DOORBELL_UART), 0);
	scripted_host_script(&f->hosts[1], 0, off, ARRAY_SIZE(off));
	expect_exited(f, GHVM_VCPU_POWERED_OFF);
	say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(join(f), 0);
	assert_int_equal(f->opened, 2);
	close(fd);
}

static void a_rebuild_as_another_vm_fails(void **state)
{
	struct fixture *f = *state;

	SCRIPT(f, reset);
	start(f);
	expect_exited(f, GHVM_VCPU_SYSTEM_RESET);
	say_ended(f, GHVM_EXIT_SYSTEM_RESET, GHVM_LINK_WAIT);
	strcpy(f->info.name, "other");
	say_rebuilt(f, &f->info);
	assert_int_equal(join(f), 1);
}

static void the_guest_survives_its_manager(void **state)
{
	struct fixture *f = *state;
	static const uint8_t serial[4] = { 9 };

	start(f);
	for (int i = 0; i < 3; i++) {
		wait_runs(&f->hosts[0], 0, 10);
		hang_up(f);
		wait_runs(&f->hosts[0], 0, 1000);
		dial(f);
		expect_hello(f);
		say(f, GHVM_LINK_PING, serial, 4, NULL, 0);
		expect(f, GHVM_LINK_PONG);
	}
	say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(join(f), 0);
}

static void a_new_manager_learns_of_the_end(void **state)
{
	struct fixture *f = *state;

	start(f);
	wait_runs(&f->hosts[0], 0, 1);
	hang_up(f);
	SCRIPT(f, off);
	usleep(100000);
	dial(f);
	expect_hello(f);
	expect_exited(f, GHVM_VCPU_POWERED_OFF);
	say_ended(f, GHVM_EXIT_SYSTEM_OFF, GHVM_LINK_EXIT_OK);
	assert_int_equal(join(f), 0);
}

static void a_manager_may_come_between_ready_and_started(void **state)
{
	struct fixture *f = *state;

	launch(f);
	expect_hello(f);
	expect(f, GHVM_LINK_READY);
	hang_up(f);
	dial(f);
	expect_hello(f);
	say(f, GHVM_LINK_STARTED, NULL, 0, NULL, 0);
	wait_runs(&f->hosts[0], 0, 1);
	say_stop(f, GHVM_LINK_FORCE);
	assert_int_equal(join(f), 0);
}

static void an_orphan_judges_by_what_it_saw(void **state)
{
	static const struct {
		const struct scripted_step *steps;
		size_t n;
		uint8_t on_reboot, on_crash;
		int status;
	} cases[] = {
		{ off, 2, GHVM_ON_END_RESTART, GHVM_ON_END_RESTART, 0 },
		{ reset, 1, GHVM_ON_END_RESTART, GHVM_ON_END_STOP, 133 },
		{ reset, 1, GHVM_ON_END_STOP, GHVM_ON_END_STOP, 0 },
		{ fault, 1, GHVM_ON_END_STOP, GHVM_ON_END_STOP, 134 },
		{ fault, 1, GHVM_ON_END_STOP, GHVM_ON_END_RESTART, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *f;

		if (i) {
			assert_int_equal(tear_down(state), 0);
			assert_int_equal(set_up(state), 0);
		}
		f = *state;
		f->config.orphan_ms = 50;
		f->info.on_reboot = cases[i].on_reboot;
		f->info.on_crash = cases[i].on_crash;
		start(f);
		wait_runs(&f->hosts[0], 0, 1);
		hang_up(f);
		wait_runs(&f->hosts[0], 0, 1);
		usleep(100000); /* longer than an orphan waits: but the guest runs */
		script(f, cases[i].steps, cases[i].n);
		assert_int_equal(join(f), cases[i].status);
	}
}

static void without_a_manager_no_start(void **state)
{
	struct fixture *f = *state;

	f->config.orphan_ms = 50;
	launch(f);
	expect_hello(f);
	expect(f, GHVM_LINK_READY);
	hang_up(f);
	assert_int_equal(join(f), 1);
}

static void bad_starts_fail(void **state)
{
	struct fixture *f = *state;

	f->fds.machine = memfd_create("empty", 0); /* not sealed, not a machine */
	launch(f);
	assert_int_equal(join(f), 1);

	tear_down(state);
	set_up(state);
	f = *state;
	f->config.name = "other";
	launch(f);
	assert_int_equal(join(f), 1);

	tear_down(state);
	set_up(state);
	f = *state;
	f->info.vcpus[1].virq.intid = 5; /* the grant does not have it */
	launch(f);
	expect_hello(f);
	assert_int_equal(join(f), 1);

	tear_down(state);
	set_up(state);
	f = *state;
	f->open_error = -ENODEV;
	launch(f);
	assert_int_equal(join(f), 1);

	tear_down(state);
	set_up(state);
	f = *state;
	closep(&f->fds.wake[1]);
	f->fds.wake[1] = -1;
	launch(f);
	assert_int_equal(join(f), 1);
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
	assert_int_equal(fds_add(&f, "refused", dup(0)), 0);
	assert_int_equal(fds_add(&f, "window-7", dup(0)), 0);
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
	unsigned int before = count_fds();

	fds_by_name(state);
	assert_int_equal(count_fds(), before);
}

#define RUNNER_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNNER_TEST(nothing_runs_before_started),
		RUNNER_TEST(the_verdict_is_the_status),
		RUNNER_TEST(an_end_may_come_before_the_vcpus_notice),
		RUNNER_TEST(a_refusal_fails),
		RUNNER_TEST(sigterm_presses_the_key),
		RUNNER_TEST(patience_ends),
		RUNNER_TEST(without_a_key_force_is_all_there_is),
		RUNNER_TEST(a_guest_that_resets_while_asked_to_stop_has_stopped),
		RUNNER_TEST(sigint_reboots),
		RUNNER_TEST(sigterm_before_the_start_ends_it),
		RUNNER_TEST(the_manager_can_stop_it_too),
		RUNNER_TEST(the_console_goes_both_ways),
		RUNNER_TEST(no_console_no_descriptor),
		RUNNER_TEST(nonsense_is_ignored),
		RUNNER_TEST(reboots_in_place),
		RUNNER_TEST(a_rebuild_as_another_vm_fails),
		RUNNER_TEST(the_guest_survives_its_manager),
		RUNNER_TEST(a_new_manager_learns_of_the_end),
		RUNNER_TEST(a_manager_may_come_between_ready_and_started),
		RUNNER_TEST(an_orphan_judges_by_what_it_saw),
		RUNNER_TEST(without_a_manager_no_start),
		RUNNER_TEST(bad_starts_fail),
		cmocka_unit_test(fds_by_name_leak_nothing),
	};

	runner_block_signals();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
