/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps a part of a memfd where huge pages fit.
 */
#include "libghvm/hyp/mapping.h"

#include "libghvm/base/bits.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>

bool ghvm_is_hugetlb(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) == 0 && s.f_type == HUGETLBFS_MAGIC;
}

void ghvm_mapping_done(struct ghvm_mapping *m)
{
	if (m->all)
		(void)munmap(m->all, m->all_size); /* only of what was mapped: cannot fail */
	*m = (struct ghvm_mapping){};
}

/* The kernel aligns it; and munmap() cannot unmap a part of one of its pages. */
static int map_hugetlb(int fd, off_t offset, size_t size, size_t page, int prot,
		       struct ghvm_mapping *m)
{
	size_t rest = page ? size % page : 0;

	m->all_size = size + (rest ? page - rest : 0);
	m->all = mmap(NULL, m->all_size, prot, MAP_SHARED, fd, offset);
	if (m->all == MAP_FAILED)
		return -errno;
	m->at = m->all;
	return 0;
}

static int map_aligned(int fd, off_t offset, size_t size, int prot, struct ghvm_mapping *m)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	m->all_size = size + GHVM_HUGE_PAGE;
	m->all = mmap(NULL, m->all_size, PROT_NONE, flags, -1, 0);
	if (m->all == MAP_FAILED)
		return -errno;
	m->at = m->all;
	m->at += ((uintptr_t)offset - (uintptr_t)m->all) & (GHVM_HUGE_PAGE - 1);
	if (mmap(m->at, size, prot, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED) {
		int r = -errno;

		ghvm_mapping_done(m);
		return r;
	}
	return 0;
}

static int make_mapping(int fd, uint64_t offset, uint64_t size, int prot, struct ghvm_mapping *ret)
{
	struct ghvm_mapping m = {};
	struct statfs s;
	int r;

	if (offset > INT64_MAX)
		return -EINVAL;
	if (size > INT64_MAX - GHVM_GIB(16)) /* room for a page of hugetlbfs */
		return -ENOMEM;
	if (fstatfs(fd, &s) < 0)
		return -errno;
	if (s.f_type == HUGETLBFS_MAGIC)
		r = map_hugetlb(fd, (off_t)offset, (size_t)size, (size_t)s.f_bsize, prot, &m);
	else
		r = map_aligned(fd, (off_t)offset, (size_t)size, prot, &m);
	if (r == 0)
		*ret = m;
	return r;
}

int ghvm_mapping_make(int fd, uint64_t offset, uint64_t size, struct ghvm_mapping *ret)
{
	return make_mapping(fd, offset, size, PROT_READ | PROT_WRITE, ret);
}

int ghvm_mapping_read(int fd, uint64_t offset, uint64_t size, struct ghvm_mapping *ret)
{
	return make_mapping(fd, offset, size, PROT_READ, ret);
}
