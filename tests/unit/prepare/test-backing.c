/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory is there, sealed in its size, and huge where the kernel can.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/prepare/backing.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/mapping.h"

static void check_populated(int fd, uint64_t size)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(st.st_blocks * 512ULL, size); /* all pages are there, and no more */
}

static void every_page_is_there(void **state)
{
	static const struct {
		uint64_t size;
		enum ghvm_hugepages hugepages;
	} cases[] = {
		{ 4096, GHVM_HUGEPAGES_AUTO },	      { GHVM_MIB(2) - 4096, GHVM_HUGEPAGES_AUTO },
		{ GHVM_MIB(2), GHVM_HUGEPAGES_AUTO }, { GHVM_MIB(8) + 4096, GHVM_HUGEPAGES_AUTO },
		{ 4096, GHVM_HUGEPAGES_NEVER },	      { GHVM_MIB(8), GHVM_HUGEPAGES_NEVER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct backing_result res;
		struct ghvm_error err = {};
		_cleanup_(closep) int fd =
			backing_make("ram", cases[i].size, cases[i].hugepages, &res, &err);

		assert_true(fd >= 0);
		check_populated(fd, cases[i].size);
		assert_int_equal(res.chunks, cases[i].size / BACKING_HUGE);
		assert_true(res.huge <= res.chunks);
		assert_true(cases[i].hugepages == GHVM_HUGEPAGES_AUTO || res.huge == 0);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
}

static void its_size_is_sealed_and_no_mapping_is_left(void **state)
{
	_cleanup_(closep) int fd =
		backing_make("sealed-ram", 8192, GHVM_HUGEPAGES_AUTO, NULL, NULL);
	_cleanup_(fclosep) FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(ftruncate(fd, 12288), -1);
	while (fgets(line, sizeof(line), maps))
		assert_null(strstr(line, "sealed-ram"));
}

/* Of files that this process has mapped: the kernel's other counts are of all processes. */
static unsigned long mapped_huge_kib(void)
{
	static const char key[] = "ShmemPmdMapped:";
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long sum = 0;
	char line[512];

	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			sum += strtoul(line + strlen(key), NULL, 10);
	return sum;
}

/* What it says of huge pages is what the kernel counts, at least as much. */
static void huge_pages_are_counted_right(void **state)
{
	_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {};
	struct backing_result res;
	_cleanup_(closep) int fd = -1;

	fd = backing_make("ram", GHVM_MIB(64), GHVM_HUGEPAGES_AUTO, &res, NULL);
	assert_true(fd >= 0);
	if (!res.huge)
		skip(); /* a kernel without MADV_COLLAPSE or without huge pages */
	assert_int_equal(ghvm_mapping_make(fd, 0, GHVM_MIB(64), &m), 0);
	assert_int_equal(madvise(m.at, GHVM_MIB(64), MADV_POPULATE_READ), 0);
	assert_true(mapped_huge_kib() >= res.huge * 2048);
}

static void bad_sizes(void **state)
{
	static const struct {
		uint64_t size;
		enum ghvm_hugepages hugepages;
	} cases[] = {
		{ 0, GHVM_HUGEPAGES_AUTO },
		{ 1, GHVM_HUGEPAGES_AUTO },
		{ 4095, GHVM_HUGEPAGES_NEVER },
		{ GHVM_MIB(1), GHVM_HUGEPAGES_2M },
		{ GHVM_MIB(2), GHVM_HUGEPAGES_1G },
		{ UINT64_MAX, GHVM_HUGEPAGES_AUTO },
		{ UINT64_MAX & ~4095ULL, GHVM_HUGEPAGES_AUTO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ghvm_error err = {};
		int r = backing_make("ram", cases[i].size, cases[i].hugepages, NULL, &err);

		assert_int_equal(r, -EINVAL);
		assert_non_null(strstr(err.msg, "memory ram"));
	}
}

static void more_than_there_is(void **state)
{
	struct ghvm_error err = {};

	/* no address space has it, so nothing is populated on the way */
	assert_int_equal(backing_make("ram", 1ULL << 60, GHVM_HUGEPAGES_AUTO, NULL, &err), -ENOMEM);
	assert_non_null(strstr(err.msg, "memory ram"));
}

static void hugetlb_pages_come_or_not(void **state)
{
	struct ghvm_error err = {};
	struct backing_result res;
	struct stat st;
	int fd = backing_make("ram", GHVM_MIB(2), GHVM_HUGEPAGES_2M, &res, &err);

	if (fd < 0) {
		assert_true(fd == -ENOMEM || fd == -EOPNOTSUPP);
		assert_string_not_equal(err.msg, "");
		return;
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_blksize, BACKING_HUGE);
	assert_int_equal(res.huge, 1);
	close(fd);
}

/* With a limit on the address space it fails; it does not die. */
static void limits_are_errors(void **state)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct rlimit l = { GHVM_MIB(64), GHVM_MIB(64) };

		if (setrlimit(RLIMIT_AS, &l) < 0)
			_exit(2);
		_exit(backing_make("ram", GHVM_MIB(512), GHVM_HUGEPAGES_AUTO, NULL, NULL) !=
		      -ENOMEM);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_is_there),
		cmocka_unit_test(its_size_is_sealed_and_no_mapping_is_left),
		cmocka_unit_test(huge_pages_are_counted_right),
		cmocka_unit_test(bad_sizes),
		cmocka_unit_test(more_than_there_is),
		cmocka_unit_test(hugetlb_pages_come_or_not),
		cmocka_unit_test(limits_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
