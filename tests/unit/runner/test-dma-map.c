/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that devices access: nothing outside of it is found, wherever a guest points. */
#include "daemon/runner/virtio/dma-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IPA 0x80000000ULL
#define SIZE 0x4000ULL

static int memory(uint64_t size, int seals)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int sealed(uint64_t size)
{
	return memory(size, F_SEAL_SHRINK | F_SEAL_GROW);
}

static void finds_what_is_inside(void **state)
{
	_cleanup_(closep) int fd = sealed(SIZE);
	_cleanup_(dma_map_done) struct dma_map m = {};
	uint8_t *at;

	assert_null(dma_map_find(&m, IPA, 1));
	assert_int_equal(dma_map_add(&m, IPA, SIZE, fd), 0);
	at = dma_map_find(&m, IPA, SIZE);
	assert_non_null(at);
	assert_ptr_equal(dma_map_find(&m, IPA + SIZE - 1, 1), at + SIZE - 1);
	assert_int_equal(pwrite(fd, "x", 1, 5), 1); /* the same memory */
	assert_int_equal(at[5], 'x');
}

static void finds_nothing_else(void **state)
{
	static const struct {
		uint64_t ipa;
		uint64_t size;
	} outside[] = {
		{ 0, 1 },
		{ IPA - 1, 1 },
		{ IPA - 1, 2 },
		{ IPA + SIZE, 1 },
		{ IPA + SIZE, 0 },
		{ IPA + SIZE - 1, 2 },
		{ IPA, SIZE + 1 },
		{ IPA + 1, SIZE },
		{ IPA, UINT64_MAX },
		{ IPA + 16, UINT64_MAX - 15 }, /* the sum wraps to where it begins */
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, UINT64_MAX },
	};
	_cleanup_(closep) int fd = sealed(SIZE);
	_cleanup_(dma_map_done) struct dma_map m = {};

	assert_int_equal(dma_map_add(&m, IPA, SIZE, fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		assert_null(dma_map_find(&m, outside[i].ipa, outside[i].size));
}

/* Two pieces that touch are two all the same: their mappings do not. */
static void an_access_is_in_one_piece(void **state)
{
	_cleanup_(closep) int fd = sealed(SIZE);
	_cleanup_(dma_map_done) struct dma_map m = {};

	assert_int_equal(dma_map_add(&m, IPA, SIZE, fd), 0);
	assert_int_equal(dma_map_add(&m, IPA + SIZE, SIZE, fd), 0);
	assert_non_null(dma_map_find(&m, IPA + SIZE, SIZE));
	assert_null(dma_map_find(&m, IPA + SIZE - 1, 2));
	assert_int_equal(dma_map_add(&m, IPA + 4 * SIZE, SIZE, fd), -ENOSPC);
}

static void refuses_other_memory(void **state)
{
	_cleanup_(closep) int fd = sealed(SIZE);
	_cleanup_(closep) int loose = memory(SIZE, F_SEAL_GROW);
	_cleanup_(closep) int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_(dma_map_done) struct dma_map m = {};

	assert_int_equal(dma_map_add(&m, IPA, 0, fd), -EINVAL);
	assert_int_equal(dma_map_add(&m, IPA + 1, SIZE, fd), -EINVAL);
	assert_int_equal(dma_map_add(&m, IPA, SIZE - 1, fd), -EINVAL);
	assert_int_equal(dma_map_add(&m, UINT64_MAX - 0xfff, SIZE, fd), -EINVAL);
	assert_int_equal(dma_map_add(&m, IPA, SIZE + 0x1000, fd), -EBADF);
	assert_int_equal(dma_map_add(&m, IPA, SIZE, loose), -EBADF);
	assert_int_equal(dma_map_add(&m, IPA, SIZE, file), -EBADF);
	assert_int_equal(m.n, 0);
	assert_int_equal(dma_map_add(&m, IPA, SIZE, fd), 0);
	assert_int_equal(dma_map_add(&m, IPA + SIZE - 0x1000, SIZE, fd), -EEXIST);
	assert_int_equal(dma_map_add(&m, IPA, SIZE, fd), -EEXIST);
}

/* A file of its own, which is closed with the map. */
static void keeps_a_file_for_others(void **state)
{
	_cleanup_(closep) int fd = sealed(SIZE);
	struct dma_map m = {};
	int kept;

	assert_int_equal(dma_map_add(&m, IPA, SIZE, fd), 0);
	assert_int_equal(m.ranges[0].fd, -1);
	assert_int_equal(dma_map_keep(&m, IPA + 1, fd), -ENOENT);
	assert_int_equal(dma_map_keep(&m, IPA, -1), -EBADF);
	assert_int_equal(dma_map_keep(&m, IPA, fd), 0);
	kept = m.ranges[0].fd;
	assert_int_not_equal(kept, fd);
	assert_true(fcntl(kept, F_GETFD) & FD_CLOEXEC);
	dma_map_done(&m);
	assert_int_equal(fcntl(kept, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_is_inside),	     cmocka_unit_test(finds_nothing_else),
		cmocka_unit_test(an_access_is_in_one_piece), cmocka_unit_test(refuses_other_memory),
		cmocka_unit_test(keeps_a_file_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
