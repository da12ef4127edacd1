/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Populates guest memory with huge pages: all at once, or one by one where memory is scarce.
 */
#include "libghvm/memory/populate.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define AT_ONCE GHVM_MIB(256) /* the kernel does not look for signals meanwhile */

/* madvise() reports a full memory cgroup or file system as -EFAULT: return -ENOMEM for both. */
int ghvm_populate(uint8_t *at, uint64_t size)
{
	int r;

	do
		r = madvise(at, (size_t)size, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
	while (r == -EINTR || r == -EAGAIN);
	return r == -EFAULT ? -ENOMEM : r;
}

static bool make_huge(uint8_t *at, uint64_t size)
{
	return madvise(at, (size_t)size, MADV_COLLAPSE) == 0;
}

/*
 * Populate the first small page of each huge page. The kernel makes a huge page of it, zeroing the rest, but none where
 * there is nothing. Populating all 512 pages first and copying them takes several times as long, and is the fallback.
 */
static int populate_first_pages(uint8_t *at, uint64_t size)
{
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < size; done += GHVM_HUGE_PAGE)
		r = ghvm_populate(at + done, GHVM_PAGE);
	return r;
}

static int populate_piece(uint8_t *at, uint64_t *huge)
{
	bool is_huge = make_huge(at, GHVM_HUGE_PAGE);
	int r = ghvm_populate(at, GHVM_HUGE_PAGE);

	if (r < 0)
		return r;
	*huge += is_huge || make_huge(at, GHVM_HUGE_PAGE);
	return 0;
}

/* Huge page by huge page, so that the small pages of one are free before the next. */
static int populate_pieces(uint8_t *at, uint64_t size, uint64_t *huge)
{
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < size; done += GHVM_HUGE_PAGE)
		r = populate_piece(at + done, huge);
	return r;
}

/* With one call; the kernel ends it at the first huge page for which it has no memory. */
static int populate_range(uint8_t *at, uint64_t size, uint64_t *huge)
{
	int r = populate_first_pages(at, size);

	if (r < 0)
		return r;
	if (!make_huge(at, size))
		return populate_pieces(at, size, huge);
	*huge += size / GHVM_HUGE_PAGE;
	return 0;
}

int ghvm_populate_huge(uint8_t *at, uint64_t size, uint64_t *ret)
{
	const uint64_t whole = size - size % GHVM_HUGE_PAGE;
	uint64_t huge = 0, n;
	int r = 0;

	(void)madvise(at, (size_t)size, MADV_HUGEPAGE); /* a hint to shmem */
	for (uint64_t done = 0; r == 0 && done < whole; done += n) {
		n = whole - done < AT_ONCE ? whole - done : AT_ONCE;
		r = populate_range(at + done, n, &huge);
	}
	if (r == 0)
		r = ghvm_populate(at, size);
	if (r == 0 && ret)
		*ret = huge;
	return r;
}

int ghvm_populate_memfd(int memfd, uint64_t size)
{
	_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {};
	int r = ghvm_is_hugetlb(memfd) ? -EOPNOTSUPP : ghvm_mapping_make(memfd, 0, size, &m);

	return r < 0 ? r : ghvm_populate_huge(m.at, size, NULL);
}
