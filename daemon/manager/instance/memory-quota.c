/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory added at run time is pinned by the manager and, where it was not populated before, charged to
 * it. It must therefore fit into the limits of the manager.
 */
#include "daemon/manager/instance/memory-quota.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <unistd.h>

void allowance_read(bool locks, struct allowance *ret)
{
	const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	const struct ghvm_room_sources from = ghvm_room_sources_default();
	struct ghvm_room room;
	struct rlimit l;

	ghvm_room_read(&from, &room);
	*ret = (struct allowance){ .memlock = UINT64_MAX, .cgroup = room.limit };
	if (locks && getrlimit(RLIMIT_MEMLOCK, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
		ret->memlock = l.rlim_cur;
	ret->ram = pages > 0 && size > 0 ? (uint64_t)pages / 2 * (uint64_t)size : UINT64_MAX;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int allowance_check(const struct allowance *a, const struct allowance_use *use, uint64_t bytes,
		    struct ghvm_error *err)
{
	/* memory pinned since a start counts as locked, but not in the manager's cgroup */
	const uint64_t locked = less(a->memlock, less(use->pinned, use->added));
	const uint64_t all = least(locked, least(a->cgroup, a->ram)), one = all / 2;

	if (use->vm_added > one || bytes > one - use->vm_added)
		return ghvm_error_set(err, -EDQUOT,
				      "cannot add %" PRIu64
				      " bytes: this virtual machine has %" PRIu64
				      " of at most %" PRIu64 " added bytes",
				      bytes, use->vm_added, one);
	if (use->added > all || bytes > all - use->added)
		return ghvm_error_set(err, -EDQUOT,
				      "cannot add %" PRIu64 " bytes: this host has %" PRIu64
				      " of at most %" PRIu64 " added bytes",
				      bytes, use->added, all);
	return 0;
}

int allowance_room(const struct ghvm_room_sources *from, uint64_t bytes, struct ghvm_error *err)
{
	static const struct ghvm_room_words words = { "what is to be added", "add less" };
	struct ghvm_room room;

	ghvm_room_read(from, &room);
	return ghvm_room_check(&room, bytes, &words, err);
}
