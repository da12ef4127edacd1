/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory is there, and in few pieces where the kernel can.
 */
#include "libghvm/memory/populate.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIZE (GHVM_MIB(4) + GHVM_PAGE)

static int fresh(const char *name, uint64_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static uint64_t bytes_there(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Of a mapping of ours, by the kernel's count. */
static uint64_t huge_pages_of(const void *at)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/smaps", "re");
	char line[512], begin[32];
	bool ours = false;

	assert_non_null(f);
	(void)snprintf(begin, sizeof(begin), "%lx-", (unsigned long)(uintptr_t)at);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, begin, strlen(begin)))
			ours = true;
		else if (ours && !strncmp(line, "ShmemPmdMapped:", 15))
			return strtoull(line + 15, NULL, 10) / (GHVM_HUGE_PAGE >> 10);
	}
	return 0;
}

static void all_of_a_memfd_is_there_and_nothing_stays_mapped(void **state)
{
	_cleanup_(closep) int fd = fresh("populated", SIZE);
	_cleanup_(fclosep) FILE *maps = NULL;
	char line[512];

	assert_int_equal(bytes_there(fd), 0);
	assert_int_equal(ghvm_populate_memfd(fd, SIZE), 0);
	assert_int_equal(bytes_there(fd), SIZE);
	maps = fopen("/proc/self/maps", "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		assert_null(strstr(line, "populated"));
}

static void what_it_counts_as_huge_is(void **state)
{
	_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {};
	_cleanup_(closep) int fd = fresh("huge", SIZE);
	uint64_t huge = UINT64_MAX;

	assert_int_equal(ghvm_mapping_make(fd, 0, SIZE, &m), 0);
	assert_true(ghvm_aligned((uintptr_t)m.at, GHVM_HUGE_PAGE));
	assert_int_equal(ghvm_populate_huge(m.at, SIZE, &huge), 0);
	assert_in_range(huge, 0, 2);
	assert_int_equal(huge_pages_of(m.at), huge);
}

/* Data already written is kept, and its page becomes huge too. */
static void what_was_there_is_kept(void **state)
{
	_cleanup_(closep) int fd = fresh("written", SIZE), other = fresh("blank", SIZE);
	_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {}, blank = {};
	uint64_t huge, huge_blank;
	char c = 0;

	assert_int_equal(pwrite(fd, "x", 1, GHVM_MIB(3)), 1);
	assert_int_equal(ghvm_mapping_make(fd, 0, SIZE, &m), 0);
	assert_int_equal(ghvm_mapping_make(other, 0, SIZE, &blank), 0);
	assert_int_equal(ghvm_populate_huge(m.at, SIZE, &huge), 0);
	assert_int_equal(pread(fd, &c, 1, GHVM_MIB(3)), 1);
	assert_int_equal(c, 'x');
	assert_int_equal(ghvm_populate_huge(blank.at, SIZE, &huge_blank), 0);
	if (huge_blank < 2)
		skip(); /* not here, or not now */
	assert_int_equal(huge, 2);
}

/* A page that something else holds cannot be moved into a huge one. The others become huge, and all are there. */
static void one_that_cannot_be_huge_does_not_keep_the_others(void **state)
{
	const uint64_t size = 4 * GHVM_HUGE_PAGE;
	_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {};
	_cleanup_(closep) int fd = fresh("held", size), out = -1, in = -1;
	struct iovec held;
	uint64_t huge = UINT64_MAX;
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	out = pipes[0];
	in = pipes[1];
	assert_int_equal(ghvm_mapping_make(fd, 0, size, &m), 0);
	held = (struct iovec){ .iov_base = m.at + GHVM_HUGE_PAGE + GHVM_PAGE,
			       .iov_len = GHVM_PAGE };
	(void)madvise(m.at, size, MADV_NOHUGEPAGE); /* its page is a small one */
	memset(held.iov_base, 'x', held.iov_len);
	assert_int_equal(vmsplice(in, &held, 1, 0), held.iov_len);
	assert_int_equal(ghvm_populate_huge(m.at, size, &huge), 0);
	assert_int_equal(bytes_there(fd), size);
	assert_int_equal(*(char *)held.iov_base, 'x');
	assert_int_equal(huge, huge_pages_of(m.at));
	assert_in_range(huge, 0, 3);
}

static void what_cannot_be_written_is_refused(void **state)
{
	_cleanup_(closep) int fd = fresh("sealed", SIZE);

	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(ghvm_populate_memfd(fd, SIZE), -EPERM);
	assert_int_equal(ghvm_populate_memfd(-1, SIZE), -EBADF);
	assert_int_equal(ghvm_populate_memfd(fd, UINT64_MAX & ~(GHVM_PAGE - 1)), -ENOMEM);
}

/* Of these a mapping would be longer than what was made free for it. */
static void hugetlb_is_left_alone(void **state)
{
	_cleanup_(closep) int fd = memfd_create("hugetlb", MFD_CLOEXEC | MFD_HUGETLB);

	if (fd < 0)
		skip(); /* a kernel without */
	assert_int_equal(ftruncate(fd, GHVM_MIB(4)), 0);
	assert_int_equal(ghvm_populate_memfd(fd, GHVM_PAGE), -EOPNOTSUPP);
	assert_int_equal(ghvm_populate_memfd(fd, GHVM_MIB(4)), -EOPNOTSUPP);
	assert_int_equal(bytes_there(fd), 0);
}

/* An error, and no SIGBUS. */
static void beyond_its_end_is_refused(void **state)
{
	_cleanup_(closep) int fd = fresh("short", GHVM_PAGE);

	assert_int_equal(ghvm_populate_memfd(fd, SIZE), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_a_memfd_is_there_and_nothing_stays_mapped),
		cmocka_unit_test(what_it_counts_as_huge_is),
		cmocka_unit_test(what_was_there_is_kept),
		cmocka_unit_test(one_that_cannot_be_huge_does_not_keep_the_others),
		cmocka_unit_test(what_cannot_be_written_is_refused),
		cmocka_unit_test(hugetlb_is_left_alone),
		cmocka_unit_test(beyond_its_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
