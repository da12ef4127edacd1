/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pinning as libghvm does it (mapping, PIN, unmapping) against io_uring's registration of the same memory as a
 * fixed buffer, in one kernel: time, and what the kernel keeps of its own for it. run-pin.sh runs it where there is a
 * module.
 *
 *	bench-pin MIB ROUNDS
 *
 * Both take their turns, so that what disturbs one disturbs the other. Scattered means that pages
 * were populated in an order that leaves no two neighbours side by side, the worst for the
 * module, which keeps an entry for each piece.
 */
#include "libghvm/hyp/dev.h"
#include "libghvm/hyp/host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define SMALL 4096UL
#define HUGE (2UL << 20)
#define STRIDE 7919 /* pages; prime */
#define ROUNDS_MAX 64
#define IMAGE (32UL << 20)
#define IMAGE_PIECE (1UL << 20)
#define COPIES_SMALL 4 /* pins of the same memory, to see what one takes */
#define COPIES_HUGE 512

struct memory {
	const char *name;
	bool huge;
	bool scattered;
	int fd;
	uint8_t *va; /* for io_uring */
	size_t size;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double median(uint64_t *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), by_value);
	return (double)v[n / 2];
}

/* ---- memory ---- */

static void populate(struct memory *m)
{
	size_t n = m->size / SMALL;

	if (m->huge) {
		must(!madvise(m->va, m->size, MADV_POPULATE_WRITE), "populate");
		must(!madvise(m->va, m->size, MADV_COLLAPSE), "collapse");
		return;
	}
	must(!madvise(m->va, m->size, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	for (size_t i = 0; i < n; i++)
		m->va[(m->scattered ? i * STRIDE % n : i) * SMALL] = 1;
}

/* As the helper makes it: a memfd, mapped at a multiple of a huge page. */
static void make(struct memory *m, size_t size)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);
	uint8_t *all = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(fd >= 0 && !ftruncate(fd, (off_t)size) && all != MAP_FAILED, "memfd");
	m->size = size;
	m->va = all + (-(uintptr_t)all & (HUGE - 1));
	must(mmap(m->va, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == m->va,
	     "mmap");
	m->fd = fd;
	populate(m);
}

/* ---- the two ---- */

static struct ghvm_host *host;

static int do_pin(const struct memory *m)
{
	int pin = host->ops->pin(host, m->fd, 0, m->size, false);

	must(pin >= 0, "PIN");
	return pin;
}

static uint64_t extents(int pin)
{
	struct ghvm_pin_status st = {};

	must(!host->ops->pin_status(host, pin, &st), "STATUS");
	return st.n_extents;
}

static int make_ring(void)
{
	struct io_uring_params p = {};
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);

	must(fd >= 0, "io_uring_setup");
	return fd;
}

static void ring_register(int ring, const struct memory *m)
{
	struct iovec v = { m->va, m->size };

	must(!syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &v, 1),
	     "IORING_REGISTER_BUFFERS");
}

static void ring_unregister(int ring)
{
	must(!syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0),
	     "IORING_UNREGISTER_BUFFERS");
}

/* ---- time ---- */

struct times {
	uint64_t pin[ROUNDS_MAX];
	uint64_t unpin[ROUNDS_MAX];
};

static void time_pin(const struct memory *m, struct times *t, unsigned int i)
{
	uint64_t start = now(), middle;
	int fd = do_pin(m);

	middle = now();
	(void)close(fd); /* which unpins */
	t->unpin[i] = now() - middle;
	t->pin[i] = middle - start;
}

static void time_ring(int ring, const struct memory *m, struct times *t, unsigned int i)
{
	uint64_t start = now(), middle;

	ring_register(ring, m);
	middle = now();
	ring_unregister(ring);
	t->unpin[i] = now() - middle;
	t->pin[i] = middle - start;
}

/* ---- an image ---- */

static double copy_read(int image, int pin)
{
	uint8_t *buf = malloc(IMAGE_PIECE);
	uint64_t start = now();

	must(buf, "malloc");
	for (uint64_t done = 0; done < IMAGE; done += IMAGE_PIECE) {
		must(pread(image, buf, IMAGE_PIECE, (off_t)done) == IMAGE_PIECE, "pread");
		must(!host->ops->pin_write(host, pin, done, buf, IMAGE_PIECE), "write");
	}
	free(buf);
	return (double)(now() - start) / 1e6;
}

/* As a start does it: libghvm/machine/build.c */
static double copy_mapped(int image, int pin)
{
	uint64_t start = now();
	void *p = mmap(NULL, IMAGE, PROT_READ, MAP_PRIVATE, image, 0);

	must(p != MAP_FAILED, "mmap");
	must(!host->ops->pin_write(host, pin, 0, p, IMAGE), "write");
	(void)munmap(p, IMAGE); /* only of what was mapped */
	return (double)(now() - start) / 1e6;
}

/* A kernel or initrd, in the page cache, is written into the pin. */
static void time_image(const struct memory *m)
{
	int image = memfd_create("image", MFD_CLOEXEC), pin = do_pin(m);

	must(image >= 0, "image");
	while (lseek(image, 0, SEEK_CUR) < (off_t)IMAGE)
		must(write(image, m->va, IMAGE_PIECE) > 0, "image");
	printf("%-13s %u MiB: read and written %.2f M, written from its mapping %.2f M\n",
	       "  an image of", (unsigned int)(IMAGE >> 20), copy_read(image, pin),
	       copy_mapped(image, pin));
	(void)close(pin);
	(void)close(image);
}

/* ---- memory of the kernel ---- */

static uint64_t meminfo(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	uint64_t kib = 0;

	must(f, "/proc/meminfo");
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kib = strtoull(line + strlen(key), NULL, 10);
	(void)fclose(f); /* was only read */
	return kib << 10;
}

/* Bytes that the kernel has less after @copies of what @ring says, or PIN; of one of them. */
static double weigh(const struct memory *m, bool ring, unsigned int copies)
{
	int fds[COPIES_HUGE];
	uint64_t before, after;

	for (unsigned int i = 0; ring && i < copies; i++)
		fds[i] = make_ring();
	before = meminfo("MemFree:");
	for (unsigned int i = 0; i < copies; i++) {
		if (ring)
			ring_register(fds[i], m);
		else
			fds[i] = do_pin(m);
	}
	after = meminfo("MemFree:");
	for (unsigned int i = 0; i < copies; i++) {
		if (ring)
			ring_unregister(fds[i]);
		(void)close(fds[i]); /* nothing is buffered */
	}
	return before > after ? (double)(before - after) / copies : 0;
}

/* "-": less than shows. */
static void print_weights(double ours, double theirs)
{
	if (ours > 0 && theirs > 0)
		printf(" %9.0f %9.0f %7.3f\n", ours, theirs, ours / theirs);
	else
		printf(" %9s %9s %7s\n", "-", "-", "-");
}

static void warm_up(const struct memory *m, unsigned int copies)
{
	(void)weigh(m, true, copies); /* slabs that both use are there afterwards */
	(void)weigh(m, false, copies);
}

/* ---- all of it ---- */

static void run(struct memory *m, size_t size, unsigned int rounds)
{
	unsigned int copies = m->huge ? COPIES_HUGE : COPIES_SMALL;
	double gib = (double)size / (1 << 30), pin, reg, unpin, unreg, ours, theirs;
	int ring = make_ring(), fd;
	struct times p, r;
	uint64_t n;

	make(m, size);
	fd = do_pin(m);
	n = extents(fd);
	(void)close(fd);
	for (unsigned int i = 0; i < rounds; i++) {
		time_ring(ring, m, &r, i);
		time_pin(m, &p, i);
	}
	pin = median(p.pin, rounds) / 1e6 / gib;
	reg = median(r.pin, rounds) / 1e6 / gib;
	unpin = median(p.unpin, rounds) / 1e6 / gib;
	unreg = median(r.unpin, rounds) / 1e6 / gib;
	warm_up(m, copies);
	ours = weigh(m, false, copies) / gib;
	theirs = weigh(m, true, copies) / gib;
	printf("%-13s %8" PRIu64 " %8.2f %8.2f %6.2f %8.2f %8.2f %6.2f", m->name, n, pin, reg,
	       pin / reg, unpin, unreg, unpin / unreg);
	print_weights(ours, theirs);
	time_image(m);
	(void)munmap(m->va, m->size); /* only of what was mapped */
	(void)close(m->fd);
	(void)close(ring);
}

int main(int argc, char **argv)
{
	static struct memory kinds[] = {
		{ .name = "2M", .huge = true },
		{ .name = "4K", .scattered = false },
		{ .name = "4K scattered", .scattered = true },
	};
	const struct rlimit files = { 2 * COPIES_HUGE, 2 * COPIES_HUGE };
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 0) : 256;
	unsigned int rounds = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 0) : 5;

	if (mib < 2 || mib % 2 || mib > 1024 || !rounds || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench-pin MIB ROUNDS\n");
		return 2;
	}
	must(!setrlimit(RLIMIT_NOFILE, &files), "RLIMIT_NOFILE");
	must(!ghvm_dev_open("/dev/ghvm", &host, NULL), "/dev/ghvm");
	printf("%-13s %8s %8s %8s %6s %8s %8s %6s %9s %9s %7s\n", "a GiB of", "extents", "PIN ms",
	       "ring ms", "ratio", "unpin ms", "ring ms", "ratio", "PIN B", "ring B", "ratio");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		run(&kinds[i], mib << 20, rounds);
	return 0;
}
