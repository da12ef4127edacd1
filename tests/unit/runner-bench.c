/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every test of the runner needs around it.
 */
#include "tests/unit/runner-bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/layout.h"

static struct bench *current;

unsigned int bench_count_fds(void)
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
	struct bench *f = current;

	if (f->open_error)
		return ghvm_error_set(err, f->open_error, "no host");
	f->hosts[f->opened].fd = fd;
	*ret = &f->hosts[f->opened++].host;
	return 0;
}

static void make_listener(struct bench *f)
{
	f->fds.listen = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	f->dial = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_int_equal(bind(f->fds.listen, (struct sockaddr *)&f->dial, sizeof(sa_family_t)), 0);
	f->dial_size = sizeof(f->dial);
	assert_int_equal(getsockname(f->fds.listen, (struct sockaddr *)&f->dial, &f->dial_size), 0);
	assert_int_equal(listen(f->fds.listen, 4), 0);
}

static void make_notify(struct bench *f)
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

int bench_set_up(void **state)
{
	struct bench *f = calloc(1, sizeof(*f));
	int pair[2];

	f->fds_before = bench_count_fds();
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
	f->fds.console_log[0] = dup(f->log);
	f->fds.grant = memfd_create("grant", 0);
	f->fds.wake[0] = eventfd(0, EFD_NONBLOCK);
	f->fds.wake[1] = eventfd(0, EFD_NONBLOCK);
	f->config = (struct runner_config){
		.name = "demo",
		.fds = &f->fds,
		.open_host = open_host,
		.orphan_ms = 10000,
		.halt_ms = 50,
		.quiet_ms = 60000,
	};
	current = f;
	*state = f;
	return 0;
}

static void *thread_main(void *data)
{
	struct bench *f = data;

	return (void *)(intptr_t)runner_run(&f->config);
}

void bench_launch(struct bench *f)
{
	if (f->fds.machine < 0)
		f->fds.machine = ghvm_runinfo_write(&f->info);
	assert_true(f->fds.machine >= 0);
	f->runs = pthread_create(&f->thread, NULL, thread_main, f) == 0;
	assert_true(f->runs);
}

int bench_join(struct bench *f)
{
	struct timespec until;
	void *status;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	assert_int_equal(pthread_timedjoin_np(f->thread, &status, &until), 0);
	f->runs = false;
	return (int)(intptr_t)status;
}

int bench_tear_down(void **state)
{
	struct bench *f = *state;

	if (f->runs) { /* the test failed: its runner keeps what it uses, and ends some day */
		closep(&f->manager);
		return 0;
	}
	ghvm_link_message_done(&f->m);
	closep(&f->manager);
	close(f->notify);
	close(f->log);
	assert_int_equal(bench_count_fds(), f->fds_before);
	free(f);
	return 0;
}

/* --- the manager's part --- */

void bench_say(struct bench *f, uint32_t type, const void *payload, size_t n, const int *fds,
	       size_t n_fds)
{
	struct ghvm_put w = { .buf = (uint8_t *)payload, .cap = n, .len = n };

	assert_int_equal(ghvm_link_send(f->manager, type, &w, fds, n_fds), 0);
}

void bench_expect(struct bench *f, uint32_t type)
{
	struct pollfd p = { .fd = f->manager, .events = POLLIN };

	ghvm_link_message_done(&f->m);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(ghvm_link_recv(f->manager, &f->m), 1);
	assert_int_equal(f->m.type, type);
}

void bench_expect_silence(struct bench *f, int ms)
{
	struct pollfd p = { .fd = f->manager, .events = POLLIN };

	assert_int_equal(poll(&p, 1, ms), 0);
}

void bench_expect_hello(struct bench *f)
{
	bench_expect(f, GHVM_LINK_RUNNER);
	assert_int_equal(ghvm_get_u16(&f->m.payload), VMID);
	assert_int_equal(ghvm_get_u64(&f->m.payload), INCARNATION);
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	assert_int_equal(f->m.n_fds, 1);
}

void bench_expect_exited(struct bench *f, uint64_t state)
{
	bench_expect(f, GHVM_LINK_EXITED);
	assert_int_equal(ghvm_get_u64(&f->m.payload), state);
	(void)ghvm_get_u64(&f->m.payload);
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
}

void bench_expect_stop(struct bench *f, enum ghvm_link_how how)
{
	bench_expect(f, GHVM_LINK_STOP);
	assert_int_equal(ghvm_get_u8(&f->m.payload), how);
}

void bench_say_ended(struct bench *f, uint32_t type, uint32_t action)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, type);
	ghvm_put_u32(&w, action);
	bench_say(f, GHVM_LINK_ENDED, buf, w.len, NULL, 0);
}

void bench_say_stop(struct bench *f, uint8_t how)
{
	bench_say(f, GHVM_LINK_STOP, &how, 1, NULL, 0);
}

void bench_say_rebuilt(struct bench *f, const struct ghvm_runinfo *info)
{
	int fds[2] = { ghvm_runinfo_write(info), memfd_create("grant", 0) };

	bench_say(f, GHVM_LINK_REBUILT, NULL, 0, fds, 2);
	close(fds[0]);
	close(fds[1]);
}

void bench_dial(struct bench *f)
{
	f->manager = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(connect(f->manager, (struct sockaddr *)&f->dial, f->dial_size), 0);
}

void bench_hang_up(struct bench *f)
{
	close(f->manager);
	f->manager = -1;
}

bool bench_notified(struct bench *f, const char *what)
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

void bench_start(struct bench *f)
{
	bench_launch(f);
	bench_expect_hello(f);
	bench_expect(f, GHVM_LINK_READY);
	bench_say(f, GHVM_LINK_STARTED, NULL, 0, NULL, 0);
}

void bench_wait_runs(struct scripted_host *h, unsigned int vcpu, uint64_t more)
{
	uint64_t until = scripted_host_runs(h, vcpu) + more;

	for (int i = 0; scripted_host_runs(h, vcpu) < until; i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
}

void bench_wait_rings(struct scripted_host *h, unsigned int bell)
{
	for (int i = 0; !scripted_host_rings(h, bell); i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
}

const struct scripted_step bench_off[2] = {
	{ .state = GHVM_VCPU_POWERED_OFF, .fire = 1 },
	{ .state = GHVM_VCPU_POWERED_OFF, .data = { 1 }, .repeat = 1000 },
};
const struct scripted_step bench_reset[1] = {
	{ .state = GHVM_VCPU_SYSTEM_RESET, .data = { 1ULL << 63 }, .repeat = 1000 },
};
const struct scripted_step bench_fault[1] = { { .state = GHVM_VCPU_FAULT, .repeat = 1000 } };
static const struct scripted_step parked[] = {
	{ .state = GHVM_VCPU_POWERED_OFF, .repeat = 1000 },
};

void bench_script(struct bench *f, const struct scripted_step *s, size_t n)
{
	scripted_host_script(&f->hosts[0], 0, s, n);
	scripted_host_script(&f->hosts[0], 1, parked, 1);
}
