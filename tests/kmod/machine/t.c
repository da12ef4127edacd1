// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int passed, failed;

static void report(bool ok, const char *fmt, va_list ap)
{
	char text[200];

	vsnprintf(text, sizeof(text), fmt, ap);
	printf("%s %d - %s\n", ok ? "ok" : "not ok", passed + failed + 1, text);
	fflush(stdout);
	if (ok)
		passed++;
	else
		failed++;
}

void t_ok(bool ok, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(ok, fmt, ap);
	va_end(ap);
}

void t_eq(int64_t is, int64_t wanted, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(is == wanted, fmt, ap);
	va_end(ap);
	if (is != wanted)
		printf("# is %lld (%s), wanted %lld (%s)\n", (long long)is, strerror(abs((int)is)),
		       (long long)wanted, strerror(abs((int)wanted)));
}

void t_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(false, fmt, ap);
	va_end(ap);
	printf("# errno %s\n", strerror(errno));
	(void)t_plan();
	exit(1);
}

int t_plan(void)
{
	printf("1..%d\n%d passed, %d failed\n", passed + failed, passed, failed);
	fflush(stdout);
	return failed || !passed;
}

long t_ioctl(int fd, unsigned long cmd, void *arg)
{
	int r = ioctl(fd, cmd, arg);

	return r < 0 ? -errno : r;
}

int t_open(void)
{
	int fd = open("/dev/ghvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		t_die("open /dev/ghvm");
	return fd;
}

struct ghvm_info t_info(int dev)
{
	struct ghvm_info info = {};

	if (t_call(dev, GHVM_INFO, &info))
		t_die("INFO");
	return info;
}

int t_memfd(size_t length, unsigned int flags)
{
	int fd = memfd_create("test", MFD_CLOEXEC | flags);

	if (fd < 0 || ftruncate(fd, (off_t)length) < 0)
		t_die("memfd of %zu", length);
	return fd;
}

int t_huge_memfd(size_t length)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");

	if (!f || fprintf(f, "4\n") < 0 || fclose(f))
		t_die("no huge pages");
	return t_memfd(length, MFD_HUGETLB);
}

void *t_map_file(int memfd, size_t length)
{
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);

	if (p == MAP_FAILED)
		t_die("map %zu", length);
	return p;
}

void *t_map(size_t length)
{
	int fd = t_memfd(length, 0);
	void *p = t_map_file(fd, length);

	memset(p, 0x5a, length);
	close(fd);
	return p;
}

bool t_pins_files(int dev)
{
	static int flags = -1;

	if (flags < 0)
		flags = (int)t_info(dev).flags;
	return flags & GHVM_INFO_PIN_FILE;
}

long t_pin_file(int dev, int memfd, uint64_t offset, size_t length, uint32_t flags)
{
	struct ghvm_pin arg = { .flags = flags, .start = offset, .length = length, .memfd = memfd };
	void *p;
	long r;

	if (t_pins_files(dev))
		return t_call(dev, GHVM_PIN, &arg);
	p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, (off_t)offset);
	if (p == MAP_FAILED)
		return -errno;
	arg.start = (uintptr_t)p;
	arg.memfd = -1;
	r = t_call(dev, GHVM_PIN, &arg);
	munmap(p, length);
	return r;
}

/* The file that is mapped at @va, and where in it. -1: none */
static int file_at(const void *va, uint64_t *ret_offset)
{
	unsigned long first, end, offset, at = (uintptr_t)va;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], path[80];
	int fd = -1;

	while (f && fd < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &first, &end, &offset) != 3 || at < first ||
		    at >= end)
			continue;
		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", first, end);
		fd = open(path, O_RDWR | O_CLOEXEC);
		*ret_offset = offset + at - first;
	}
	if (f)
		fclose(f);
	return fd;
}

long t_pin(int dev, const void *va, size_t length)
{
	struct ghvm_pin arg = { .start = (uintptr_t)va, .length = length, .memfd = -1 };
	long r;

	if (t_pins_files(dev)) {
		uint64_t offset = 0;

		arg.memfd = file_at(va, &offset);
		arg.start = offset;
	}
	r = t_call(dev, GHVM_PIN, &arg);
	if (arg.memfd >= 0)
		close(arg.memfd);
	return r;
}

long t_set(int pin, uint32_t state, const char *tag)
{
	struct ghvm_pin_set arg = { .state = state };

	memcpy(arg.tag, tag, strnlen(tag, sizeof(arg.tag)));
	return t_call(pin, GHVM_PIN_SET, &arg);
}

struct ghvm_pin_status t_status(int pin)
{
	struct ghvm_pin_status status = {};

	if (t_call(pin, GHVM_PIN_STATUS, &status))
		t_die("PIN_STATUS");
	return status;
}

uint64_t t_pa(const void *va)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)va / PAGE * 8) != 8)
		t_die("pagemap");
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

long t_proc(const char *path, const char *key)
{
	FILE *f = fopen(path, "r");
	char line[256];
	long v = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = strtol(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return v;
}

pid_t t_child(void (*fn)(void *data), void *data)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe(ready) < 0)
		t_die("pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		t_die("fork");
	if (!pid) {
		close(ready[0]);
		fn(data);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		t_die("the child died");
	close(ready[0]);
	return pid;
}

int t_reap(pid_t pid, bool kill_it)
{
	int status = -1;

	if (kill_it)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return status;
}

int t_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		t_die("eventfd");
	return fd;
}

uint64_t t_events(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n = 0;

	if (poll(&p, 1, ms) == 1 && read(fd, &n, sizeof(n)) != sizeof(n))
		n = 0;
	return n;
}

void t_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

uint64_t t_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
