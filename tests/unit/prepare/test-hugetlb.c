/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hugepages: 2M and 1G with a real pool, and what is pinned of it; 77 where none can be had.
 */
#include "daemon/prepare/backing.h"
#include "daemon/prepare/room.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/dev.h"
#include "libghvm/hyp/host.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SKIPPED 77

/**
 * struct pool - pages of one size
 * @before: so many were there; what was added goes again
 */
struct pool {
	uint64_t page;
	char nr[96];
	unsigned long before;
};

static struct pool pool_2m = { .page = GHVM_MIB(2) };
static struct pool pool_1g = { .page = GHVM_GIB(1) };

static unsigned long get(const struct pool *p)
{
	_cleanup_(fclosep) FILE *f = fopen(p->nr, "re");
	unsigned long n = 0;

	return f && fscanf(f, "%lu", &n) == 1 ? n : 0;
}

static void set(const struct pool *p, unsigned long n)
{
	_cleanup_(fclosep) FILE *f = fopen(p->nr, "we");

	if (f)
		(void)fprintf(f, "%lu", n);
}

/* @more pages than there were, in a pool that other processes may use. */
static bool fill(struct pool *p, unsigned long more)
{
	(void)snprintf(p->nr, sizeof(p->nr),
		       "/sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages",
		       (unsigned long long)(p->page >> 10));
	p->before = get(p);
	set(p, p->before + more);
	if (get(p) >= p->before + more)
		return true;
	set(p, p->before);
	return false;
}

static void makes_pages(const struct pool *p, enum ghvm_hugepages pages, uint64_t size)
{
	const struct ghvm_room_sources from = ghvm_room_sources_default();
	struct room_want want = {};
	struct backing_result res;
	struct ghvm_error err = {};
	_cleanup_(closep) int fd = -1;
	struct stat st;

	*(pages == GHVM_HUGEPAGES_2M ? &want.pool_2m : &want.pool_1g) = size;
	assert_int_equal(room_check(&from, &want, &err), 0);
	fd = backing_make("ram", size, pages, &res, &err);
	if (fd < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(st.st_blksize, p->page);
	assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
	assert_int_equal(res.chunks, size / BACKING_HUGE);
	assert_int_equal(res.huge, res.chunks);
	assert_true(res.pieces >= 1 && res.pieces <= size / p->page);
	print_message("%llu MiB of %llu MiB pages, in %llu pieces\n",
		      (unsigned long long)(size >> 20), (unsigned long long)(p->page >> 20),
		      (unsigned long long)res.pieces);
}

static void two_mebibytes(void **state)
{
	makes_pages(&pool_2m, GHVM_HUGEPAGES_2M, GHVM_MIB(8));
}

/* Refused in advance, and otherwise by the kernel. */
static void more_than_the_pool_has(void **state)
{
	const struct ghvm_room_sources from = ghvm_room_sources_default();
	const struct room_want want = { .pool_2m = GHVM_GIB(8192) };
	struct ghvm_error err = {};

	assert_int_equal(room_check(&from, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "nr_hugepages"));
	assert_int_equal(backing_make("ram", GHVM_GIB(8192), GHVM_HUGEPAGES_2M, NULL, &err),
			 -ENOMEM);
	assert_non_null(strstr(err.msg, "reserved huge pages"));
}

static void one_gibibyte(void **state)
{
	if (!fill(&pool_1g, 1))
		skip(); /* this CPU has none, or no GiB is in one piece */
	makes_pages(&pool_1g, GHVM_HUGEPAGES_1G, GHVM_GIB(1));
	set(&pool_1g, pool_1g.before);
}

static bool is_mapped(const char *name)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, name))
			return true;
	return false;
}

/* As a bus client may ask for. The ioctl fails, as there is no module; the unmapping must not. */
static void a_pin_of_a_part_of_a_page_leaves_no_mapping(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_(closep) int fd =
		memfd_create("pin-a-part", MFD_CLOEXEC | MFD_HUGETLB | 21U << 26);
	struct ghvm_host *h;

	assert_true(null >= 0 && fd >= 0);
	assert_int_equal(ghvm_dev_from_fd(null, &h), 0);
	assert_int_equal(ftruncate(fd, (off_t)GHVM_MIB(4)), 0);
	assert_int_equal(h->ops->pin(h, fd, 0, 3 * GHVM_PAGE, false), -ENOTTY);
	assert_false(is_mapped("pin-a-part"));
	assert_int_equal(h->ops->pin(h, fd, 0, GHVM_MIB(2) + GHVM_PAGE, false), -ENOTTY);
	assert_false(is_mapped("pin-a-part"));
	ghvm_host_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_mebibytes),
		cmocka_unit_test(more_than_the_pool_has),
		cmocka_unit_test(one_gibibyte),
		cmocka_unit_test(a_pin_of_a_part_of_a_page_leaves_no_mapping),
	};
	int r;

	if (!fill(&pool_2m, 4)) {
		(void)fputs("no pool of 2 MiB pages can be made here\n", stderr);
		return SKIPPED;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	set(&pool_2m, pool_2m.before);
	return r;
}
