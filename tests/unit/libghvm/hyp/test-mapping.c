/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A part of a file is mapped where huge pages fit, and all of it is unmapped.
 */
#include "libghvm/hyp/mapping.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE GHVM_MIB(6)

static int fresh(unsigned int flags)
{
	int fd = memfd_create("mapping", MFD_CLOEXEC | flags);

	if (fd >= 0)
		assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
	return fd;
}

/* mincore() fails where nothing is mapped. */
static bool is_mapped(void *at)
{
	unsigned char there;

	return mincore(at, GHVM_PAGE, &there) == 0;
}

static void the_address_suits_the_offset(void **state)
{
	static const uint64_t offsets[] = { 0, GHVM_PAGE, GHVM_MIB(1), GHVM_MIB(2),
					    GHVM_MIB(3) + GHVM_PAGE };
	_cleanup_(closep) int fd = fresh(0);

	for (size_t i = 0; i < 5; i++) {
		_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {};
		char c = (char)('a' + i);

		assert_int_equal(pwrite(fd, &c, 1, (off_t)offsets[i]), 1);
		assert_int_equal(ghvm_mapping_make(fd, offsets[i], GHVM_MIB(2), &m), 0);
		assert_int_equal((uintptr_t)m.at % GHVM_HUGE_PAGE, offsets[i] % GHVM_HUGE_PAGE);
		assert_int_equal(m.at[0], c);
		m.at[GHVM_MIB(2) - 1] = 'z';
		assert_int_equal(pread(fd, &c, 1, (off_t)(offsets[i] + GHVM_MIB(2) - 1)), 1);
		assert_int_equal(c, 'z');
	}
}

static void nothing_stays_mapped(void **state)
{
	_cleanup_(closep) int fd = fresh(0);
	struct ghvm_mapping m = {};
	uint8_t *all;
	size_t size;

	assert_int_equal(ghvm_mapping_make(fd, GHVM_PAGE, GHVM_PAGE, &m), 0);
	all = m.all;
	size = m.all_size;
	assert_true(is_mapped(all) && is_mapped(m.at) && is_mapped(all + size - GHVM_PAGE));
	ghvm_mapping_done(&m);
	for (size_t i = 0; i < size; i += GHVM_PAGE)
		assert_false(is_mapped(all + i));
	ghvm_mapping_done(&m);
}

/* Of a part of a page of hugetlbfs, munmap() would refuse the end. */
static void hugetlb_is_mapped_in_whole_pages(void **state)
{
	_cleanup_(closep) int fd = fresh(MFD_HUGETLB | MFD_HUGE_2MB);
	struct ghvm_mapping m = {};
	void *at;

	if (fd < 0 || ghvm_mapping_make(fd, GHVM_MIB(2), GHVM_MIB(3), &m) == -ENOMEM)
		skip(); /* a kernel without, or no such page is free */
	assert_true(ghvm_is_hugetlb(fd));
	assert_int_equal(m.all_size, GHVM_MIB(4));
	assert_int_equal((uintptr_t)m.at % GHVM_HUGE_PAGE, 0);
	at = m.at;
	ghvm_mapping_done(&m);
	assert_false(is_mapped(at));
}

static void errors_leave_the_result_alone(void **state)
{
	_cleanup_(closep) int fd = fresh(0), reads = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct ghvm_mapping m = { .all_size = 7 };

	assert_false(ghvm_is_hugetlb(fd) || ghvm_is_hugetlb(-1));
	assert_int_equal(ghvm_mapping_make(-1, 0, SIZE, &m), -EBADF);
	assert_int_equal(ghvm_mapping_make(reads, 0, SIZE, &m), -EACCES);
	assert_int_equal(ghvm_mapping_make(fd, 1, SIZE, &m), -EINVAL);
	assert_int_equal(ghvm_mapping_make(fd, UINT64_MAX, SIZE, &m), -EINVAL);
	assert_int_equal(ghvm_mapping_make(fd, 0, UINT64_MAX, &m), -ENOMEM);
	assert_int_equal(ghvm_mapping_make(fd, 0, INT64_MAX & ~(GHVM_PAGE - 1), &m), -ENOMEM);
	assert_int_equal(m.all_size, 7);
	assert_null(m.all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_address_suits_the_offset),
		cmocka_unit_test(nothing_stays_mapped),
		cmocka_unit_test(hugetlb_is_mapped_in_whole_pages),
		cmocka_unit_test(errors_leave_the_result_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
