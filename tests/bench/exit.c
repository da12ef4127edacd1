/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-space instructions of one exit of a guest in the runner: from the return of the ioctl that ran the
 * vCPU to the next one. Runner and library are the real ones; ioctl() and the start of a thread are here.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/ipc/thread.h"
#include "daemon/runner/devices/board.h"
#include "daemon/runner/vcpu-thread.h"
#include "ghvm/guest-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/hyp/hvc.h"
#include "libghvm/hyp/dev.h"
#include "libghvm/hyp/host.h"
#include "tests/bench/steps.h"
#include "tests/fixtures/devices.h"

#define WARM_UP 4 /* exits that are not counted: the first of a burst wakes the console */
#define UART_DATA GHVM_IPA_UART
#define UART_LSR (GHVM_IPA_UART + 5)

/**
 * struct subject - an exit that is counted
 * @most: instructions that "--limit" permits: 5% more than gcc 12 makes of it for x86-64
 * @state, @ipa, @size, @value: as in the results of vcpu_run
 */
struct subject {
	const char *name;
	uint64_t most;
	uint64_t state;
	uint64_t ipa;
	uint64_t size;
	uint64_t value;
};

static const struct subject subjects[] = {
	{ "nothing to do", 125, GHVM_VCPU_READY, 0, 0, 0 },
	{ "UART: a byte", 351, GHVM_VCPU_MMIO_WRITE, UART_DATA, 1, 'x' },
	{ "UART: line status", 318, GHVM_VCPU_MMIO_READ, UART_LSR, 1, 0 },
	{ "power key: a register", 297, GHVM_VCPU_MMIO_READ, GHVM_IPA_PL061 + 0x400, 4, 0 },
};

static const struct subject *subject;
static unsigned int runs;

/* The kernel, to which each exit of the guest is the same. */
int ioctl(int fd, unsigned long request, ...)
{
	struct ghvm_hcall *c;
	va_list list;

	if (request != GHVM_HCALL) { /* GHVM_INFO, which a grant refuses */
		errno = ENOTTY;
		return -1;
	}
	if (++runs > WARM_UP)
		(void)raise(SIGSTOP);
	va_start(list, request);
	c = va_arg(list, struct ghvm_hcall *);
	va_end(list);
	c->results[0] = GHVM_HYP_OK;
	c->results[1] = subject->state;
	c->results[2] = subject->ipa;
	c->results[3] = subject->size;
	c->results[4] = subject->value;
	if (runs == WARM_UP)
		(void)raise(SIGSTOP);
	if (runs >= WARM_UP)
		(void)raise(SIGSTOP);
	return 0;
}

/* A vCPU runs in the thread that starts it, so that it can be stepped. */
int ghvm_thread_start(pthread_t *ret, size_t stack, void *(*run)(void *), void *data)
{
	*ret = pthread_self();
	(void)run(data);
	return 0;
}

static void on_event(void *data)
{
}

static void on_end(void *data, uint64_t state, uint64_t data0)
{
}

static void on_stray(void *data, bool is_write, uint64_t ipa, uint64_t size)
{
	must(-ENXIO, "an access without a device");
}

static struct ghvm_runinfo describe(void)
{
	struct ghvm_runinfo info = { .name = "demo", .logging = GHVM_LOGGING_NONE };

	for (; info.n_devices < DEMO_DEVICES; info.n_devices++) {
		struct ghvm_runinfo_device *d = &info.devices[info.n_devices];

		(void)snprintf(d->name, sizeof(d->name), "%s", demo_devices[info.n_devices].name);
		d->ipa = demo_devices[info.n_devices].ipa;
		d->doorbell = demo_devices[info.n_devices].doorbell;
	}
	return info;
}

/* Returns only if a vCPU ends. */
static void run_guest(void)
{
	static struct devices devices;
	static struct vcpu_thread thread;
	static const struct dma_map memory; /* no device accesses any */
	struct vcpu_thread_shared shared = {
		.mmio = &devices.mmio,
		.on_off = on_event,
		.on_end = on_end,
		.on_stray = on_stray,
	};
	const struct ghvm_runinfo info = describe();
	struct devices_files files = {};
	struct ghvm_host *host = NULL;

	no_logs(files.logs);
	must(devices_init(&devices, &info, &memory, &files, NULL), "devices");
	must(ghvm_dev_from_fd(-1, &host), "host");
	devices_connect(&devices, host, &info);
	must(vcpu_thread_start(&thread, &shared, host, (struct ghvm_capid){ 1 }, -1), "vCPU");
}

static uint64_t count(const struct subject *s)
{
	uint64_t none, n, least = UINT64_MAX;
	pid_t pid;

	subject = s;
	pid = fork();
	must(pid < 0 ? -errno : 0, "fork");
	if (!pid) {
		steps_let_count();
		run_guest();
		_exit(0);
	}
	none = steps_first(pid);
	for (unsigned int i = 0; i < 10; i++) {
		n = steps_next(pid); /* from the ioctl's return to the next one */
		least = n < least ? n : least;
		(void)steps_next(pid); /* in ioctl() */
	}
	steps_end(pid);
	return least - none;
}

/* Return: it is within its limit. */
static bool print(const struct subject *s, bool limit)
{
	const uint64_t n = count(s);

	printf("%-26s %12" PRIu64 "\n", s->name, n);
	if (!limit || n <= s->most)
		return true;
	printf("%s: at most %" PRIu64 " are permitted: see tests/bench/exit.c\n", s->name, s->most);
	return false;
}

int main(int argc, char **argv)
{
	const bool limit = argc > 1 && !strcmp(argv[1], "--limit");
	bool ok = true;

	printf("%-26s %12s\n", "instructions an exit", "runner");
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++)
		ok &= print(&subjects[i], limit);
	return ok ? 0 : 1;
}
