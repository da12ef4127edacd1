/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest begins with, and whether there is enough of each kind.
 */
#include "daemon/prepare/room.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "libghvm/bits.h"

static int check_pool(const struct ghvm_room_sources *from, uint64_t need, uint64_t page,
		      struct ghvm_error *err)
{
	uint64_t free_pages, reserved, overcommit, surplus, more;
	uint64_t pages = need / page;
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%.200s/kernel/mm/hugepages/hugepages-%" PRIu64 "kB",
		       from->sys, page / 1024); /* fits */
	if (!need || !ghvm_room_number(dir, "free_hugepages", &free_pages) ||
	    !ghvm_room_number(dir, "resv_hugepages", &reserved) ||
	    !ghvm_room_number(dir, "nr_overcommit_hugepages", &overcommit) ||
	    !ghvm_room_number(dir, "surplus_hugepages", &surplus))
		return 0; /* making the memory says why */
	more = overcommit > surplus ? overcommit - surplus : 0;
	free_pages = free_pages > reserved ? free_pages - reserved : 0;
	if (pages <= free_pages || pages - free_pages <= more)
		return 0;
	return ghvm_error_set(err, -ENOSPC,
			      "memory: the guest takes %" PRIu64 " pages of %" PRIu64
			      " MiB, their pool has %" PRIu64 " free: raise %s/nr_hugepages, or "
			      "use hugepages: auto",
			      pages, page >> 20, free_pages + more, dir);
}

int room_check(const struct ghvm_room_sources *from, const struct room_want *want,
	       struct ghvm_error *err)
{
	static const struct ghvm_room_words words = { "the guest", "lower memory.size" };
	struct ghvm_room room;
	int r;

	ghvm_room_read(from, &room);
	r = ghvm_room_check(&room, want->pages, &words, err);
	if (r == 0)
		r = check_pool(from, want->pool_2m, GHVM_MIB(2), err);
	if (r == 0)
		r = check_pool(from, want->pool_1g, GHVM_GIB(1), err);
	return r;
}
