// SPDX-License-Identifier: GPL-2.0-or-later
/* Pins of a file: which files, one reference for each folio, and what happens to the file meanwhile. */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define SELF "/proc/self/status"
#define MEM "/proc/meminfo"

/* A second open file of a memfd, with other rights. */
static int open_again(int memfd, int flags)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	return open(path, flags | O_CLOEXEC);
}

static void try(int dev, int fd, uint32_t flags, long wanted, const char *what)
{
	long pin = t_pin_file(dev, fd, 0, PAGE, flags);

	t_eq(pin < 0 ? pin : 0, wanted, "PIN: %s", what);
	if (pin >= 0)
		close((int)pin);
}

static void arguments(int dev)
{
	int fd = t_memfd(4 * PAGE, 0), path = open_again(fd, O_PATH), pair[2];

	if (pipe(pair) < 0)
		t_die("pipe");
	try(dev, -1, 0, -EBADF, "no file");
	try(dev, path, 0, -EBADF, "a path");
	try(dev, pair[0], 0, -EINVAL, "a pipe");
	try(dev, dev, 0, -EINVAL, "a device");
	t_eq(t_pin_file(dev, fd, PAGE, 4 * PAGE, 0), -EFAULT, "PIN: past the end");
	t_eq(t_pin_file(dev, fd, 4 * PAGE, PAGE, 0), -EFAULT, "PIN: behind the end");
	t_eq(t_pin_file(dev, fd, 1UL << 63, PAGE, 0), -EFAULT, "PIN: at no file's offset");
	t_eq(t_pin_file(dev, fd, -PAGE, 2 * PAGE, 0), -EINVAL, "PIN: wraps");
	close(pair[0]);
	close(pair[1]);
	close(path);
	close(fd);
}

/* Rights of the open file and seals of the inode; both are only needed for writing. */
static void rights(int dev)
{
	int fd = t_memfd(PAGE, MFD_ALLOW_SEALING), ro = open_again(fd, O_RDONLY);
	int wo = open_again(fd, O_WRONLY), future = t_memfd(PAGE, MFD_ALLOW_SEALING);
	long pin;

	try(dev, fd, 0, 0, "a memfd");
	try(dev, ro, 0, -EACCES, "open for reading only");
	try(dev, ro, GHVM_PIN_READONLY, 0, "for reading, open for reading");
	try(dev, wo, 0, -EACCES, "open for writing only");
	try(dev, wo, GHVM_PIN_READONLY, -EACCES, "for reading, open for writing only");
	pin = t_pin_file(dev, fd, 0, PAGE, GHVM_PIN_READONLY);
	t_ok(pin >= 0 && pwrite((int)pin, "x", 1, 0) < 0 && errno == EPERM,
	     "a read-only pin is not written");
	t_eq(t_set((int)pin, GHVM_PIN_GUARDED, "ro"), 0, "a read-only pin is guarded");
	t_eq(t_set((int)pin, GHVM_PIN_HELD, ""), 0, "and held again");
	t_ok(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EBUSY,
	     "no write seal while pinned");
	close((int)pin);
	t_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0, "a write seal when it is not");
	t_eq(fcntl(future, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0, "a seal against later writes");
	try(dev, fd, 0, -EPERM, "sealed");
	try(dev, future, 0, -EPERM, "sealed against later writes");
	try(dev, fd, GHVM_PIN_READONLY, 0, "for reading, sealed");
	try(dev, future, GHVM_PIN_READONLY, 0, "for reading, sealed against later writes");
	close(fd);
	close(ro);
	close(wo);
	close(future);
}

/* What no process has accessed yet. */
static void not_populated(int dev)
{
	static const uint8_t zeroes[PAGE];
	int hole = t_memfd(4 * PAGE, 0), made = t_memfd(4 * PAGE, 0);
	int huge = t_huge_memfd(MIB(4));
	uint8_t *p = t_map_file(hole, 4 * PAGE), *q = t_map_file(made, 4 * PAGE);
	long before = t_proc(SELF, "VmPin:"), reserved = t_proc(MEM, "HugePages_Rsvd:"), pin;
	struct ghvm_extent x = {};
	struct ghvm_pin_extents arg = { .count = 1, .extents = (uintptr_t)&x };

	pin = t_pin_file(dev, hole, 0, 4 * PAGE, 0);
	t_ok(pin >= 0 && !t_call((int)pin, GHVM_PIN_EXTENTS, &arg), "a hole is filled");
	t_ok(!memcmp(p, zeroes, PAGE) && t_pa(p) == x.pa, "with zeroes, and in the file");
	close((int)pin);

	*q = 1;
	t_eq(fallocate(made, 0, 0, (off_t)(4 * PAGE)), 0, "fallocate()");
	pin = t_pin_file(dev, made, 0, PAGE, 0);
	t_ok(pin >= 0, "the page that was written is pinned");
	t_eq(t_pin_file(dev, made, 0, 4 * PAGE, 0), -ENODATA,
	     "those that were not are not cleared yet");
	t_eq(t_proc(SELF, "VmPin:"), before + 4, "only the one is charged");
	memset(q + PAGE, 1, 3 * PAGE);
	try(dev, made, 0, 0, "once they are");
	close((int)pin);
	munmap(p, 4 * PAGE);
	munmap(q, 4 * PAGE);
	close(hole);
	close(made);

	p = t_map_file(huge, MIB(4));
	*p = 1;
	t_eq(t_pin_file(dev, huge, 0, MIB(4), 0), -ENODATA, "hugetlbfs: a hole");
	t_eq(t_proc(MEM, "HugePages_Rsvd:"), reserved + 1, "hugetlbfs: still reserved for it");
	try(dev, huge, 0, 0, "hugetlbfs: what is there");
	munmap(p, MIB(4));
	close(huge);
	t_eq(t_proc(MEM, "HugePages_Rsvd:"), reserved, "hugetlbfs: none reserved any more");
	t_eq(t_proc(MEM, "HugePages_Surp:"), 0, "hugetlbfs: none too many");
}

/* References that pins have taken and not given back */
static long pinned_folios(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);

	if (fd < 0 || write(fd, "1", 1) != 1)
		t_die("stat_refresh");
	close(fd);
	return t_proc("/proc/vmstat", "nr_foll_pin_acquired") -
	       t_proc("/proc/vmstat", "nr_foll_pin_released");
}

/* The first 2 MiB are a huge folio, the next 2 MiB are small ones. */
static int mixed(void)
{
	int fd = t_memfd(MIB(4), 0);
	uint8_t *room = mmap(NULL, MIB(6), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *p = (uint8_t *)(((uintptr_t)room + MIB(2) - 1) & ~(MIB(2) - 1));

	if (mmap(p, MIB(4), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != p)
		t_die("map a memfd");
	(void)madvise(p, MIB(4), MADV_NOHUGEPAGE);
	memset(p, 0xa5, MIB(4));
	(void)madvise(p, MIB(2), MADV_HUGEPAGE);
	if (madvise(p, MIB(2), MADV_COLLAPSE) < 0)
		t_die("a huge folio");
	munmap(room, MIB(6));
	return fd;
}

static void one_each(int dev)
{
	static const struct {
		size_t first, n;
		long folios;
		const char *what;
	} parts[] = {
		{ 0, 512, 1, "a huge folio" },
		{ 1, 510, 1, "the middle of a huge folio" },
		{ 511, 1, 1, "the end of a huge folio" },
		{ 511, 2, 2, "the end of one and a small one" },
		{ 0, 1024, 513, "a huge one and 512 small ones" },
		{ 700, 300, 300, "small ones" },
	};
	int fd = mixed();
	long before = pinned_folios();
	void *p;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		long pin = t_pin_file(dev, fd, parts[i].first * PAGE, parts[i].n * PAGE, 0);

		t_eq(pinned_folios() - before, parts[i].folios, "%s: one reference each",
		     parts[i].what);
		close((int)pin);
		t_eq(pinned_folios(), before, "%s: and each given back", parts[i].what);
	}
	close(fd);
	fd = t_memfd(MIB(1), 0);
	p = t_map_file(fd, MIB(1));
	memset(p, 1, 200 * PAGE);
	munmap(p, MIB(1));
	t_eq(fallocate(fd, 0, 0, (off_t)MIB(1)), 0, "a file with the rest not accessed");
	t_eq(t_pin_file(dev, fd, 0, MIB(1), 0), -ENODATA, "it is not pinned");
	t_eq(pinned_folios(), before, "and the first 200 pages are given back");
	close(fd);
}

/* The file loses pages that a pin has: the pin keeps them, whole, until it is closed. */
static void file_shrinks(int dev)
{
	const int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int fd = mixed();
	long before = pinned_folios();
	int pin = (int)t_pin_file(dev, fd, PAGE, MIB(3), 0);
	uint64_t n = t_status(pin).n_extents;

	t_eq(t_set(pin, GHVM_PIN_GUARDED, "kept"), 0, "shrinks: guarded");
	t_eq(fallocate(fd, hole, (off_t)(100 * PAGE), (off_t)(64 * PAGE)), 0,
	     "shrinks: part of a huge folio");
	t_eq(fallocate(fd, hole, (off_t)(600 * PAGE), (off_t)(64 * PAGE)), 0,
	     "shrinks: small ones");
	t_eq(ftruncate(fd, 0), 0, "shrinks: all of the file");
	close(fd);
	t_eq(pinned_folios() - before, 1 + 257, "shrinks: all stay pinned");
	t_eq((int64_t)t_status(pin).n_extents, (int64_t)n, "shrinks: where they were");
	t_eq(t_set(pin, GHVM_PIN_HELD, ""), 0, "shrinks: held");
	t_eq(pwrite(pin, "x", 1, (off_t)(101 * PAGE)), 1, "shrinks: still to be written");
	close(pin);
	t_eq(pinned_folios(), before, "shrinks: all given back");
}

/* Written through a pin only: reclaim must not take it for the zeroes that the file had. */
static void dirty(int dev)
{
	int fd = t_memfd(16 * PAGE, 0);
	uint8_t *p;
	int pin = (int)t_pin_file(dev, fd, 0, 16 * PAGE, 0);

	t_eq(pwrite(pin, "guest", 5, (off_t)PAGE), 5, "dirty: a hole, written through the pin");
	close(pin);
	p = t_map_file(fd, 16 * PAGE);
	(void)*(volatile uint8_t *)(p + PAGE);
	(void)madvise(p, 16 * PAGE, MADV_PAGEOUT);
	t_ok(!memcmp(p + PAGE, "guest", 5), "dirty: it is there after reclaim");
	munmap(p, 16 * PAGE);
	close(fd);
}

struct writer {
	int fd;
	uint8_t *from;
};

static void *write_stuck(void *data)
{
	struct writer *w = data;

	(void)!pwrite(w->fd, w->from, PAGE, 0);
	return NULL;
}

/* A write into the file has the inode locked while its source is not there yet. */
static void busy(int dev)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = {};
	struct writer w = { .fd = t_memfd(PAGE, 0) };
	struct uffd_msg msg;
	pthread_t thread;

	w.from = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range = (struct uffdio_range){ (uintptr_t)w.from, PAGE };
	zero.range = reg.range;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &reg) < 0)
		t_die("userfaultfd");
	if (pthread_create(&thread, NULL, write_stuck, &w))
		t_die("a thread");
	if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		t_die("no fault");
	try(dev, w.fd, 0, -EBUSY, "while a write is stuck");
	ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
	pthread_join(thread, NULL);
	try(dev, w.fd, 0, 0, "after the write");
	munmap(w.from, PAGE);
	close(w.fd);
	close(uffd);
}

void test_memfd(void)
{
	int dev = t_open();

	if (t_pins_files(dev)) {
		arguments(dev);
		rights(dev);
		not_populated(dev);
		one_each(dev);
		file_shrinks(dev);
		dirty(dev);
		busy(dev);
	}
	close(dev);
}
