/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of the memory of regions: what it keeps, what it refuses, and that nothing leaks. */
#include "daemon/ipc/region-fds.h"

#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BOTH (F_SEAL_SHRINK | F_SEAL_GROW)

static int make_memory(int seals)
{
	int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* Descriptors are numbered from the lowest free one on, so a leak moves this. */
static int next_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	return fd;
}

static void only_memory_of_sealed_size(void **state)
{
	_cleanup_(ghvm_region_fds_done) struct ghvm_region_fds all = {};
	static const int too_few[] = { 0, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE };
	_cleanup_(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(too_few) / sizeof(too_few[0]); i++) {
		_cleanup_(closep) int fd = make_memory(too_few[i]);

		assert_int_equal(ghvm_region_fds_put(&all, 1, fd), -EBADF);
	}
	assert_int_equal(ghvm_region_fds_put(&all, 1, null), -EBADF);
	assert_int_equal(ghvm_region_fds_put(&all, 1, -1), -EBADF);
	assert_int_equal(all.n, 0);
	assert_int_equal(ghvm_region_fds_get(&all, 1), -ENOENT);
}

static void the_last_of_a_label_counts(void **state)
{
	struct ghvm_region_fds all = {};
	_cleanup_(closep) int a = make_memory(BOTH), b = make_memory(BOTH | F_SEAL_SEAL);
	const int before = next_fd();

	assert_int_equal(ghvm_region_fds_put(&all, 5, a), 0);
	assert_int_equal(ghvm_region_fds_put(&all, 0xffffffff, a), 0);
	assert_int_equal(ghvm_region_fds_put(&all, 5, b), 0);
	assert_int_equal(all.n, 2);
	assert_int_equal(inode_of(ghvm_region_fds_get(&all, 5)), inode_of(b));
	assert_int_equal(inode_of(ghvm_region_fds_get(&all, 0xffffffff)), inode_of(a));
	assert_int_equal(fcntl(ghvm_region_fds_get(&all, 5), F_GETFD), FD_CLOEXEC);

	/* what replaces it is refused: it is not the region's memory any more, either */
	assert_int_equal(ghvm_region_fds_put(&all, 5, -1), -EBADF);
	assert_int_equal(ghvm_region_fds_get(&all, 5), -ENOENT);
	ghvm_region_fds_drop(&all, 5); /* there is none */
	ghvm_region_fds_drop(&all, 0xffffffff);
	assert_int_equal(all.n, 0);
	assert_int_equal(next_fd(), before);
}

static void so_many_and_no_more(void **state)
{
	struct ghvm_region_fds all = {};
	_cleanup_(closep) int fd = make_memory(BOTH);
	const int before = next_fd();

	for (uint32_t i = 0; i < GHVM_REGION_FDS_MAX; i++)
		assert_int_equal(ghvm_region_fds_put(&all, i, fd), 0);
	assert_int_equal(ghvm_region_fds_put(&all, GHVM_REGION_FDS_MAX, fd), -ENOSPC);
	assert_int_equal(ghvm_region_fds_put(&all, 0, fd), 0); /* takes the place of its own */
	ghvm_region_fds_done(&all);
	assert_int_equal(all.n, 0);
	assert_int_equal(next_fd(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_memory_of_sealed_size),
		cmocka_unit_test(the_last_of_a_label_counts),
		cmocka_unit_test(so_many_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
