/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocate and populate guest memory with the requested page size.
 */
#include "daemon/prepare/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/prepare/contiguity.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/memory/populate.h"

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

#define BACKING_MANY 1000 /* pieces: a quarter of what the smallest resource manager has room for */

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
		return ghvm_error_set(err, -EINVAL,
				      "memory %s: %llu bytes is not a multiple of the page size",
				      name, (unsigned long long)size);
	fd = memfd_create(name, memfd_flags(hugepages));
	if (fd < 0) {
		r = errno == ENODEV || errno == EINVAL ? -EOPNOTSUPP : -errno;
		return ghvm_error_set(err, r, "memory %s: cannot create a memfd%s: %s", name,
				      hugepages == GHVM_HUGEPAGES_AUTO ? "" : " of that page size",
				      strerror(errno));
	}
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return ghvm_error_set(err, -errno, "memory %s: cannot set the size of a memfd: %s",
				      name, strerror(errno));
	return TAKE_FD(fd);
}

static int populate_huge(struct ghvm_mapping *m, uint64_t size, struct backing_result *ret)
{
	*ret = (struct backing_result){ .chunks = size / BACKING_HUGE };
	contiguity_compact(CONTIGUITY_BUDDYINFO, CONTIGUITY_COMPACT, ret->chunks);
	return ghvm_populate_huge(m->at, size, &ret->huge);
}

static int populate_small(struct ghvm_mapping *m, uint64_t size, struct backing_result *ret)
{
	(void)madvise(m->at, (size_t)size, MADV_NOHUGEPAGE); /* a hint to shmem */
	*ret = (struct backing_result){ .chunks = size / BACKING_HUGE };
	return ghvm_populate(m->at, size);
}

static int populate_hugetlb(struct ghvm_mapping *m, uint64_t size, struct backing_result *ret)
{
	*ret = (struct backing_result){ .chunks = size / BACKING_HUGE,
					.huge = size / BACKING_HUGE };
	return ghvm_populate(m->at, size);
}

/* Of memory that is all huge pages the kernel need not be asked about each small one. */
static uint64_t contiguous_piece(uint64_t size, const struct backing_result *b)
{
	return b->huge == size / BACKING_HUGE && !(size % BACKING_HUGE)
		       ? BACKING_HUGE
		       : granule(GHVM_HUGEPAGES_NEVER);
}

static void count_pieces(const struct ghvm_mapping *m, uint64_t size, struct backing_result *ret)
{
	if (contiguity_measure(m->at, size, contiguous_piece(size, ret), &ret->pieces) < 0)
		ret->pieces = 0;
}

/* The start might be refused for so many pieces: once more, when what was mapped can be moved, too. */
static void collapse_more(struct ghvm_mapping *m, uint64_t size, struct backing_result *ret)
{
	if (ret->pieces <= BACKING_MANY || ret->huge == ret->chunks)
		return;
	contiguity_compact(CONTIGUITY_BUDDYINFO, CONTIGUITY_COMPACT, ret->chunks - ret->huge);
	(void)ghvm_populate_huge(m->at, size, &ret->huge); /* all is populated already */
	count_pieces(m, size, ret);
}

int backing_make(const char *name, uint64_t size, enum ghvm_hugepages hugepages,
		 struct backing_result *ret, struct ghvm_error *err)
{
	bool hugetlb = hugepages == GHVM_HUGEPAGES_2M || hugepages == GHVM_HUGEPAGES_1G;
	_cleanup_(closep) int fd = make_memfd(name, size, hugepages, err);
	_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {};
	struct backing_result result;
	int r;

	if (fd < 0)
		return fd;
	r = ghvm_mapping_make(fd, 0, size, &m);
	if (r == 0 && hugetlb)
		r = populate_hugetlb(&m, size, &result);
	else if (r == 0 && hugepages == GHVM_HUGEPAGES_NEVER)
		r = populate_small(&m, size, &result);
	else if (r == 0)
		r = populate_huge(&m, size, &result);
	if (r < 0)
		return ghvm_error_set(err, r, "memory %s: cannot populate %llu MiB%s: %s", name,
				      (unsigned long long)(size >> 20),
				      hugetlb ? " of reserved huge pages" : "", strerror(-r));
	count_pieces(&m, size, &result);
	if (hugepages == GHVM_HUGEPAGES_AUTO)
		collapse_more(&m, size, &result);
	if (ret)
		*ret = result;
	return TAKE_FD(fd);
}
