// SPDX-License-Identifier: GPL-2.0-or-later
/* Pins: what can be pinned, where it is, and who is charged. */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define SELF "/proc/self/status"
#define MEM "/proc/meminfo"

static void arguments(int dev)
{
	uint8_t *p = t_map(4 * PAGE);
	long before = t_proc(SELF, "VmPin:");

	t_eq(t_pin(dev, p, 0), -EINVAL, "PIN: nothing");
	t_eq(t_pin(dev, p + 1, PAGE), -EINVAL, "PIN: not aligned");
	t_eq(t_pin(dev, p, PAGE + 1), -EINVAL, "PIN: not a multiple");
	t_eq(t_pin(dev, p, 5 * PAGE), -EFAULT, "PIN: a page too many");
	t_eq(t_proc(SELF, "VmPin:"), before, "PIN: a failure charges nothing");
	munmap(p, 4 * PAGE);
}

/* Where the kernel pins by address */
static void addresses(int dev)
{
	uint8_t *p = t_map(4 * PAGE);
	uint8_t *ro = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *zero =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint8_t first = *(volatile uint8_t *)zero;
	struct ghvm_pin file = { .length = PAGE, .memfd = 0 };
	struct ghvm_pin reads = { .flags = GHVM_PIN_READONLY, .length = PAGE, .memfd = -1 };
	long pin, before = t_proc(SELF, "VmPin:");

	(void)first;
	reads.start = (uintptr_t)p;
	t_eq(t_call(dev, GHVM_PIN, &file), -EOPNOTSUPP, "PIN: a file");
	t_eq(t_call(dev, GHVM_PIN, &reads), -EOPNOTSUPP, "PIN: for reading");
	t_eq(t_pin(dev, p, -(uint64_t)(uintptr_t)p), -EINVAL, "PIN: to the end of all addresses");
	t_eq(t_pin(dev, p, -(uint64_t)(uintptr_t)p - PAGE), -EFAULT, "PIN: nearly so");
	t_eq(t_pin(dev, (void *)-PAGE, 2 * PAGE), -EINVAL, "PIN: wraps");
	t_eq(t_pin(dev, (void *)0xffff000000000000, PAGE), -EFAULT, "PIN: the kernel's");
	t_eq(t_pin(dev, NULL, PAGE), -EFAULT, "PIN: what is not mapped");
	t_eq(t_pin(dev, ro, PAGE), -EFAULT, "PIN: read-only");
	munmap(p + 2 * PAGE, PAGE);
	t_eq(t_pin(dev, p, 4 * PAGE), -EFAULT, "PIN: a hole");
	t_eq(t_proc(SELF, "VmPin:"), before, "PIN: a failure charges nothing");
	pin = t_pin(dev, zero, PAGE);
	t_ok(pin >= 0, "PIN: the zero page is replaced");
	*zero = 1;
	t_eq(close((int)pin), 0, "PIN: and closed");
	munmap(p, 4 * PAGE);
	munmap(ro, PAGE);
	munmap(zero, PAGE);
}

/* A file of a file system that is not ours to pin. */
static void files(int dev)
{
	const int wrong = t_pins_files(dev) ? -EINVAL : -EFAULT;
	void *p;
	int fd;

	mkdir("/ramfs", 0700);
	if (mount("none", "/ramfs", "ramfs", 0, NULL) < 0)
		t_die("mount ramfs");
	fd = open("/ramfs/file", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, PAGE) < 0)
		t_die("a file");
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(p, 1, PAGE);
	t_eq(t_pin(dev, p, PAGE), wrong, "PIN: a file's page");
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	memset(p, 1, PAGE);
	t_eq(t_pin(dev, p, PAGE), wrong, "PIN: a private copy of a file");
	munmap(p, PAGE);
	close(fd);
	umount("/ramfs");
	fd = open("/dev/mem", O_RDWR);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0x40fff000);
	t_ok(p != MAP_FAILED, "a device is mapped");
	t_eq(t_pin(dev, p, PAGE), wrong, "PIN: a device");
	munmap(p, PAGE);
	close(fd);
}

/* All extents, read @step at a time. */
static uint64_t extents_read(int pin, struct ghvm_extent *x, uint64_t max, uint32_t step)
{
	uint64_t n = 0;

	for (;;) {
		struct ghvm_pin_extents arg = { .count = step, .first = n };

		arg.extents = (uintptr_t)(x + n);
		if (n + step > max || t_call(pin, GHVM_PIN_EXTENTS, &arg))
			return 0;
		if (!arg.count)
			return n;
		n += arg.count;
	}
}

/* Each page of the range, by the page table, against the extents. */
static bool extents_true(const uint8_t *va, size_t length, const struct ghvm_extent *x, uint64_t n)
{
	uint64_t offset = 0;

	for (uint64_t i = 0; i < n; i++)
		for (uint64_t at = 0; at < x[i].length; at += PAGE, offset += PAGE)
			if (offset >= length || t_pa(va + offset) != x[i].pa + at)
				return false;
	return offset == length;
}

static bool extents_apart(const struct ghvm_extent *x, uint64_t n)
{
	for (uint64_t i = 1; i < n; i++)
		if (x[i - 1].pa + x[i - 1].length == x[i].pa)
			return false;
	return true;
}

static uint64_t check(int dev, void *va, size_t length, const char *what)
{
	static struct ghvm_extent x[8192], y[8192];
	long pin = t_pin(dev, va, length);
	struct ghvm_pin_extents bad = { .count = 1, .extents = 8 };
	struct ghvm_pin_status status;
	uint64_t n;

	t_ok(pin >= 0, "%s: pinned", what);
	if (pin < 0)
		return 0;
	status = t_status((int)pin);
	n = extents_read((int)pin, x, 8192 - 64, 64);
	t_eq((int64_t)n, (int64_t)status.n_extents, "%s: as many extents as STATUS says", what);
	t_eq((int64_t)status.length, (int64_t)length, "%s: length", what);
	t_ok(status.state == GHVM_PIN_HELD && !status.assigned, "%s: held", what);
	t_ok(extents_true(va, length, x, n), "%s: extents are where the pages are", what);
	t_ok(extents_apart(x, n), "%s: extents that touch are one", what);
	t_eq((int64_t)extents_read((int)pin, y, 8192, 1), (int64_t)n, "%s: one by one", what);
	t_ok(!memcmp(x, y, n * sizeof(*x)), "%s: the same", what);
	t_eq(t_call(pin, GHVM_PIN_EXTENTS, &bad), -EFAULT, "%s: a bad address", what);
	bad.first = UINT64_MAX;
	t_ok(!t_call(pin, GHVM_PIN_EXTENTS, &bad) && !bad.count, "%s: none past the end", what);
	close((int)pin);
	return n;
}

static void *memfd_map(int fd, size_t length)
{
	void *p = t_map_file(fd, length);

	memset(p, 0xa5, length);
	close(fd);
	return p;
}

static void hugetlb(int dev)
{
	void *p = memfd_map(t_huge_memfd(MIB(8)), MIB(8));
	uint64_t n = check(dev, p, MIB(8), "hugetlb");

	t_ok(n >= 1 && n <= 4, "hugetlb: at most 4 extents");
	t_eq((int64_t)(t_pa(p) % MIB(2)), 0, "hugetlb: aligned");
	munmap(p, MIB(8));
}

/* The address has to be aligned as the file's offset is. */
static uint8_t *memfd_map_aligned(size_t length)
{
	uint8_t *room = mmap(NULL, length + MIB(2), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)(((uintptr_t)room + MIB(2) - 1) & ~(MIB(2) - 1));
	int fd = memfd_create("test", 0);

	if (fd < 0 || ftruncate(fd, (off_t)length) < 0 ||
	    mmap(at, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		t_die("memfd, aligned");
	memset(at, 0xa5, length);
	close(fd);
	return at;
}

static void collapsed(int dev)
{
	uint8_t *p = memfd_map_aligned(MIB(2));

	t_eq(madvise(p, MIB(2), MADV_COLLAPSE) < 0 ? -errno : 0, 0, "a huge folio, collapsed");
	t_eq((int64_t)check(dev, p, MIB(2), "a huge folio"), 1, "a huge folio: one extent");
	t_eq((int64_t)check(dev, p + PAGE, MIB(2) - 2 * PAGE, "part of a huge folio"), 1,
	     "part of a huge folio: one extent");
	munmap(p, MIB(2));
}

static void kinds(int dev)
{
	void *p = t_map(PAGE);

	t_eq((int64_t)check(dev, p, PAGE, "a page"), 1, "a page: one extent");
	munmap(p, PAGE);
	if (!t_pins_files(dev)) {
		p = mmap(NULL, MIB(3), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		check(dev, p, MIB(3), "anonymous");
		munmap(p, MIB(3));
	}
	p = memfd_map(t_memfd(MIB(3), 0), MIB(3));
	check(dev, p, MIB(3), "memfd");
	munmap(p, MIB(3));
	hugetlb(dev);
	collapsed(dev);
}

static void charged(int dev)
{
	long before = t_proc(SELF, "VmPin:");
	void *p = t_map(MIB(1));
	long a = t_pin(dev, p, MIB(1)), b = t_pin(dev, p, MIB(1) / 2);

	t_ok(a >= 0 && b >= 0, "pinned twice");
	t_eq(t_proc(SELF, "VmPin:"), before + 1024 + 512, "both are charged");
	munmap(p, MIB(1));
	t_eq(t_proc(SELF, "VmPin:"), before + 1024 + 512, "also without the mapping");
	close((int)a);
	t_eq(t_proc(SELF, "VmPin:"), before + 512, "one less");
	close((int)b);
	t_eq(t_proc(SELF, "VmPin:"), before, "none");
}

struct limited {
	int dev;
	int memfd;
	long results[6];
};

static long pin_some(const struct limited *l, size_t npages)
{
	return t_pin_file(l->dev, l->memfd, 0, npages * PAGE, 0);
}

/* A pin by a child; its mm has nothing pinned. */
static long pin_by_child(const struct limited *l, size_t npages)
{
	pid_t pid = fork();
	long r;

	if (!pid) {
		r = pin_some(l, npages);
		_exit(r < 0 ? (int)-r : 0);
	}
	return -WEXITSTATUS(t_reap(pid, false));
}

/* Without CAP_IPC_LOCK the limit counts, for all processes of a user together. */
static void limited_child(void *data)
{
	struct limited *l = data;
	struct rlimit limit = { 16 * PAGE, 16 * PAGE };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setuid(65534) < 0)
		_exit(1);
	l->results[0] = pin_some(l, 17);
	l->results[1] = pin_some(l, 16);
	l->results[2] = pin_some(l, 1);
	l->results[4] = pin_by_child(l, 1);
	close((int)l->results[1]);
	l->results[3] = pin_some(l, 1);
	close((int)l->results[3]);
	for (int i = 0; i < 16; i++)
		l->results[5] += !pin_by_child(l, 16);
}

static void no_memlock_accounting(int dev)
{
	struct limited *l =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	l->dev = dev;
	l->memfd = t_memfd(32 * PAGE, 0);
	pid = t_child(limited_child, l);
	t_eq(l->results[0], -ENOMEM, "no MEMLOCK accounting: one page too many");
	t_ok(l->results[1] >= 0, "no MEMLOCK accounting: just as many");
	t_eq(l->results[2], -ENOMEM, "no MEMLOCK accounting: one more");
	t_eq(l->results[4], -ENOMEM, "no MEMLOCK accounting: nor by a child");
	t_ok(l->results[3] >= 0, "no MEMLOCK accounting: room again after closing");
	t_eq(l->results[5], 16, "no MEMLOCK accounting: and after each child's end");
	t_reap(pid, true);
	close(l->memfd);
	munmap(l, PAGE);
}

/* What a killed process pinned and did not guard is Linux's again. */
static void pin_much(void *data)
{
	if (t_pin(*(int *)data, t_map(MIB(64)), MIB(64)) < 0)
		_exit(1);
}

static void killed(int dev)
{
	long before, during, after = 0;
	pid_t pid;

	before = t_proc(MEM, "MemFree:");
	pid = t_child(pin_much, &dev);
	during = t_proc(MEM, "MemFree:");
	/* earlier children may still be giving memory back: not all 64 MiB are seen to go */
	t_ok(before - during > 32 * 1024, "killed: the child had 64 MiB (%ld, %ld)", before,
	     during);
	t_reap(pid, true);
	/* others have memory too: not all 64 MiB are seen again, and not at once */
	for (int i = 0; i < 500 && before - after > 16 * 1024; i++) {
		t_ms(20);
		after = t_proc(MEM, "MemFree:");
	}
	t_ok(before - after <= 16 * 1024, "killed: they are free again (%ld, %ld)", before, after);
}

/* A pin may outlive the process that is charged. */
static int sockets[2];

static void pin_and_send(void *data)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = {};
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};
	int pin = (int)t_pin(*(int *)data, t_map(MIB(1)), MIB(1));

	c.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&c.h), &pin, sizeof(pin));
	if (sendmsg(sockets[1], &m, 0) < 0)
		_exit(1);
}

static void outlives(int dev)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = {};
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};
	int pin = -1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) < 0)
		t_die("socketpair");
	pid = t_child(pin_and_send, &dev);
	if (recvmsg(sockets[0], &m, 0) != 1)
		t_die("recvmsg");
	memcpy(&pin, CMSG_DATA(&c.h), sizeof(pin));
	t_reap(pid, true);
	t_eq((int64_t)t_status(pin).length, (int64_t)MIB(1), "a pin whose process is gone");
	t_eq(pwrite(pin, "x", 1, 0), 1, "it can be written");
	t_eq(close(pin), 0, "and closed");
	close(sockets[0]);
	close(sockets[1]);
}

void test_pin(void)
{
	int dev = t_open();

	arguments(dev);
	if (!t_pins_files(dev))
		addresses(dev);
	files(dev);
	kinds(dev);
	charged(dev);
	no_memlock_accounting(dev);
	killed(dev);
	outlives(dev);
	close(dev);
}
