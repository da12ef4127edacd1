/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Populating with MADV_POPULATE_WRITE and MADV_COLLAPSE: both return errors where a touch
 * would be a SIGBUS.
 */
#include "daemon/prepare/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/prepare/contiguity.h"
#include "libghvm/bits.h"
#include "libghvm/cleanup.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

/**
 * struct mapping - the memfd, mapped for populating only
 * @at: aligned to BACKING_HUGE
 * @all, @all_size: what to unmap
 */
struct mapping {
	uint8_t *at;
	void *all;
	size_t all_size;
};

static unsigned int memfd_flags(enum ghvm_hugepages hugepages)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (hugepages == GHVM_HUGEPAGES_2M)
		flags |= MFD_HUGETLB | (21U << MFD_HUGE_SHIFT);
	if (hugepages == GHVM_HUGEPAGES_1G)
		flags |= MFD_HUGETLB | (30U << MFD_HUGE_SHIFT);
	return flags;
}

static uint64_t granule(enum ghvm_hugepages hugepages)
{
	switch (hugepages) {
	case GHVM_HUGEPAGES_2M:
		return BACKING_HUGE;
	case GHVM_HUGEPAGES_1G:
		return GHVM_GIB(1);
	case GHVM_HUGEPAGES_AUTO:
	case GHVM_HUGEPAGES_NEVER:
		break;
	}
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int make_memfd(const char *name, uint64_t size, enum ghvm_hugepages hugepages,
		      struct ghvm_error *err)
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (!size || !ghvm_aligned(size, granule(hugepages)) || size > INT64_MAX)
		return ghvm_error_set(err, -EINVAL, "memory %s: %llu bytes are not whole pages",
				      name, (unsigned long long)size);
	fd = memfd_create(name, memfd_flags(hugepages));
	if (fd < 0) {
		r = errno == ENODEV || errno == EINVAL ? -EOPNOTSUPP : -errno;
		return ghvm_error_set(err, r, "memory %s: cannot make a memfd%s: %s", name,
				      hugepages == GHVM_HUGEPAGES_AUTO ? "" : " of that page size",
				      strerror(errno));
	}
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return ghvm_error_set(err, -errno, "memory %s: cannot size a memfd: %s", name,
				      strerror(errno));
	return TAKE_FD(fd);
}

static void unmap(struct mapping *m)
{
	if (m->all)
		(void)munmap(m->all, m->all_size); /* only of what was mapped: cannot fail */
	*m = (struct mapping){};
}

/* Without @align where the kernel aligns by itself (hugetlb). */
static int map(int fd, uint64_t size, bool align, struct mapping *ret)
{
	size_t reserve = align ? (size_t)size + BACKING_HUGE : (size_t)size;
	struct mapping m = {};

	if (!align) {
		m.all = mmap(NULL, reserve, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	} else {
		m.all = mmap(NULL, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			     -1, 0);
	}
	if (m.all == MAP_FAILED)
		return -errno;
	m.all_size = reserve;
	m.at = m.all;
	if (align) {
		m.at += -(uintptr_t)m.all & (BACKING_HUGE - 1);
		if (mmap(m.at, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 0) == MAP_FAILED) {
			int r = -errno;

			unmap(&m);
			return r;
		}
	}
	*ret = m;
	return 0;
}

/* -EFAULT means a full memory cgroup or file system too: say so in one way. */
static int populate(uint8_t *at, uint64_t size)
{
	int r;

	do
		r = madvise(at, (size_t)size, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
	while (r == -EINTR || r == -EAGAIN);
	return r == -EFAULT ? -ENOMEM : r;
}

static bool collapse(uint8_t *at)
{
	return madvise(at, BACKING_HUGE, MADV_COLLAPSE) == 0;
}

/*
 * One piece. Its first page is enough for the kernel to make a huge one, zeroed where there was
 * nothing; to fill it with 512 pages first and have them copied takes several times as long, and
 * is what is left if that fails.
 */
static int populate_piece(uint8_t *at, uint64_t *huge)
{
	bool is_huge;
	int r = populate(at, GHVM_PAGE);

	if (r < 0)
		return r;
	is_huge = collapse(at);
	r = populate(at, BACKING_HUGE);
	if (r < 0)
		return r;
	*huge += is_huge || collapse(at);
	return 0;
}

/* Piece by piece, so that the 4 KiB pages of one are free again before the next. */
static int populate_huge(struct mapping *m, uint64_t size, struct backing_result *ret)
{
	struct backing_result res = { .chunks = size / BACKING_HUGE };
	uint64_t done = 0;
	int r;

	contiguity_compact(CONTIGUITY_BUDDYINFO, CONTIGUITY_COMPACT, res.chunks);
	(void)madvise(m->at, (size_t)size, MADV_HUGEPAGE); /* a hint to shmem */
	for (; size - done >= BACKING_HUGE; done += BACKING_HUGE) {
		r = populate_piece(m->at + done, &res.huge);
		if (r < 0)
			return r;
	}
	*ret = res;
	return done < size ? populate(m->at + done, size - done) : 0;
}

static int populate_small(struct mapping *m, uint64_t size, struct backing_result *ret)
{
	(void)madvise(m->at, (size_t)size, MADV_NOHUGEPAGE); /* a hint to shmem */
	*ret = (struct backing_result){ .chunks = size / BACKING_HUGE };
	return populate(m->at, size);
}

static int populate_hugetlb(struct mapping *m, uint64_t size, struct backing_result *ret)
{
	*ret = (struct backing_result){ .chunks = size / BACKING_HUGE,
					.huge = size / BACKING_HUGE };
	return populate(m->at, size);
}

int backing_make(const char *name, uint64_t size, enum ghvm_hugepages hugepages,
		 struct backing_result *ret, struct ghvm_error *err)
{
	bool hugetlb = hugepages == GHVM_HUGEPAGES_2M || hugepages == GHVM_HUGEPAGES_1G;
	_cleanup_(closep) int fd = make_memfd(name, size, hugepages, err);
	_cleanup_(unmap) struct mapping m = {};
	struct backing_result result;
	int r;

	if (fd < 0)
		return fd;
	r = map(fd, size, !hugetlb, &m);
	if (r == 0 && hugetlb)
		r = populate_hugetlb(&m, size, &result);
	else if (r == 0 && hugepages == GHVM_HUGEPAGES_NEVER)
		r = populate_small(&m, size, &result);
	else if (r == 0)
		r = populate_huge(&m, size, &result);
	if (r < 0)
		return ghvm_error_set(err, r, "memory %s: cannot get %llu MiB%s: %s", name,
				      (unsigned long long)(size >> 20),
				      hugetlb ? " of reserved huge pages" : "", strerror(-r));
	if (contiguity_measure(m.at, size, &result.pieces) < 0)
		result.pieces = 0;
	if (ret)
		*ret = result;
	return TAKE_FD(fd);
}
