/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Check that there is enough memory of each kind for a guest.
 */
#include "daemon/prepare/room.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "libghvm/base/bits.h"

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
		return 0; /* backing_make() reports the error */
	more = overcommit > surplus ? overcommit - surplus : 0;
	free_pages = free_pages > reserved ? free_pages - reserved : 0;
	if (pages <= free_pages || pages - free_pages <= more)
		return 0;
	return ghvm_error_set(err, -ENOSPC,
			      "memory: the guest needs %" PRIu64 " huge pages of %" PRIu64
			      " MiB, the pool has %" PRIu64 " free: raise %s/nr_hugepages, or "
			      "use hugepages: auto",
			      pages, page >> 20, free_pages + more, dir);
}

/**
 * struct hugetlb - huge pages of one size
 * @size: as in file names, "2MB" or "1GB"
 * @left, @max, @file, @cgroup: of the tightest limit; sizes in bytes
 */
struct hugetlb {
	const char *size;
	uint64_t left;
	uint64_t max;
	char file[32];
	char cgroup[NAME_MAX + 1];
};

/* @kind: "" for used pages, ".rsvd" for reserved pages, which have separate limits */
static void look_at(const char *dir, const char *kind, struct hugetlb *h)
{
	const char *name = strrchr(dir, '/');
	char file[32], current_file[32];
	uint64_t max, current;

	(void)snprintf(file, sizeof(file), "hugetlb.%s%s.max", h->size, kind); /* fits */
	(void)snprintf(current_file, sizeof(current_file), "hugetlb.%s%s.current", h->size, kind);
	if (!ghvm_room_number(dir, file, &max) || max == UINT64_MAX ||
	    !ghvm_room_number(dir, current_file, &current))
		return;
	current = max > current ? max - current : 0; /* the rest */
	if (current >= h->left)
		return;
	h->left = current;
	h->max = max;
	memcpy(h->file, file, sizeof(file));
	(void)snprintf(h->cgroup, sizeof(h->cgroup), "%s", name ? name + 1 : dir);
}

static void look_at_cgroup(const char *dir, void *data)
{
	look_at(dir, "", data);
	look_at(dir, ".rsvd", data);
}

static int check_hugetlb(const struct ghvm_room_sources *from, uint64_t need, const char *size,
			 struct ghvm_error *err)
{
	struct hugetlb h = { .size = size, .left = UINT64_MAX, .max = UINT64_MAX };

	ghvm_room_each_cgroup(from, look_at_cgroup, &h);
	if (need <= h.left)
		return 0;
	return ghvm_error_set(err, need > h.max ? -EDQUOT : -ENOSPC,
			      "memory: the guest needs %" PRIu64 " MiB of huge pages, %s of the "
			      "cgroup %.200s leaves %" PRIu64 " of %" PRIu64 " MiB: raise this "
			      "limit, or use hugepages: auto",
			      need >> 20, h.file, h.cgroup, h.left >> 20, h.max >> 20);
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
		r = check_hugetlb(from, want->pool_2m, "2MB", err);
	if (r == 0)
		r = check_hugetlb(from, want->pool_1g, "1GB", err);
	if (r == 0)
		r = check_pool(from, want->pool_2m, GHVM_MIB(2), err);
	if (r == 0)
		r = check_pool(from, want->pool_1g, GHVM_GIB(1), err);
	return r;
}
