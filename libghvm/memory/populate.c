/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Populates guest memory huge page by huge page.
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

/* madvise() reports a full memory cgroup or file system as -EFAULT: return -ENOMEM for both. */
int ghvm_populate(uint8_t *at, uint64_t size)
{
	int r;

	do
		r = madvise(at, (size_t)size, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
	while (r == -EINTR || r == -EAGAIN);
	return r == -EFAULT ? -ENOMEM : r;
}

static bool make_huge(uint8_t *at)
{
	return madvise(at, GHVM_HUGE_PAGE, MADV_COLLAPSE) == 0;
}

/*
 * Populate one huge page. The kernel can make it of the first small page, zeroing the rest.
 * Populating all 512 pages first and copying them takes several times as long, and is the
 * fallback.
 */
static int populate_piece(uint8_t *at, uint64_t *huge)
{
	bool is_huge;
	int r = ghvm_populate(at, GHVM_PAGE);

	if (r < 0)
		return r;
	is_huge = make_huge(at);
	r = ghvm_populate(at, GHVM_HUGE_PAGE);
	if (r < 0)
		return r;
	*huge += is_huge || make_huge(at);
	return 0;
}

/* Huge page by huge page, so that the small pages of one are free before the next. */
int ghvm_populate_huge(uint8_t *at, uint64_t size, uint64_t *ret)
{
	uint64_t done = 0, huge = 0;
	int r = 0;

	(void)madvise(at, (size_t)size, MADV_HUGEPAGE); /* a hint to shmem */
	for (; r == 0 && size - done >= GHVM_HUGE_PAGE; done += GHVM_HUGE_PAGE)
		r = populate_piece(at + done, &huge);
	if (r == 0 && done < size)
		r = ghvm_populate(at + done, size - done);
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
