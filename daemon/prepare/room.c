/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Figures of the kernel, and whether they are enough.
 */
#include "daemon/prepare/room.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"

#define LINE 512

/**
 * struct limit - of a cgroup
 * @max: MemoryMax=; @left: of it
 * @name: of the unit
 */
struct limit {
	uint64_t max;
	uint64_t left;
	char name[NAME_MAX + 1];
};

struct room_sources room_sources_default(void)
{
	return (struct room_sources){ .proc = "/proc", .sys = "/sys" };
}

static FILE *open_in(const char *dir, const char *file)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) >= sizeof(path))
		return NULL;
	return fopen(path, "re");
}

/* A file that is one number; "max" is UINT64_MAX. */
static bool read_number(const char *dir, const char *file, uint64_t *ret)
{
	_cleanup_(fclosep) FILE *f = open_in(dir, file);
	char line[LINE], *end;

	if (!f || !fgets(line, sizeof(line), f))
		return false;
	*ret = UINT64_MAX;
	if (!strncmp(line, "max", 3))
		return true;
	errno = 0;
	*ret = strtoull(line, &end, 10);
	return end != line && !errno;
}

/* "KEY VALUE", the key with its colon where the file has one; 0: not there. */
static uint64_t read_key(const char *dir, const char *file, const char *key)
{
	_cleanup_(fclosep) FILE *f = open_in(dir, file);
	size_t n = strlen(key);
	char line[LINE];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && (line[n] == ' ' || line[n] == '\t'))
			return strtoull(line + n, NULL, 10);
	return 0;
}

/* With what the kernel needs to keep track of it: page tables and the file's index. */
static uint64_t with_overhead(uint64_t bytes)
{
	uint64_t more = bytes / 128 + GHVM_MIB(2);

	return bytes > UINT64_MAX - more ? UINT64_MAX : bytes + more;
}

static uint64_t mib(uint64_t bytes)
{
	return bytes >> 20;
}

static uint64_t mib_up(uint64_t bytes)
{
	return mib(bytes) + (bytes % GHVM_MIB(1) != 0);
}

static int check_free(const struct room_sources *from, uint64_t need, struct ghvm_error *err)
{
	uint64_t kib = read_key(from->proc, "meminfo", "MemAvailable:");

	if (!kib || kib > UINT64_MAX / 1024 || need <= kib * 1024)
		return 0;
	return ghvm_error_set(err, -ENOSPC,
			      "memory: the guest takes %" PRIu64 " MiB, the host has %" PRIu64
			      " MiB available: stop something else, or lower memory.size",
			      mib_up(need), kib / 1024);
}

/* ---- cgroups ---- */

/* Cached files are given up before anybody is killed. */
static uint64_t reclaimable(const char *dir)
{
	return read_key(dir, "memory.stat", "inactive_file") +
	       read_key(dir, "memory.stat", "active_file");
}

static void look(const char *dir, struct limit *tightest)
{
	uint64_t max, current, spare, left;
	const char *name = strrchr(dir, '/');

	if (!read_number(dir, "memory.max", &max) || max == UINT64_MAX ||
	    !read_number(dir, "memory.current", &current))
		return;
	spare = reclaimable(dir);
	current = current > spare ? current - spare : 0;
	left = max > current ? max - current : 0;
	if (left >= tightest->left)
		return;
	tightest->max = max;
	tightest->left = left;
	(void)snprintf(tightest->name, sizeof(tightest->name), "%s", name ? name + 1 : dir);
}

/* Our place in the one hierarchy of cgroup 2; false: there is none, or it is not visible. */
static bool own_cgroup(const struct room_sources *from, char *ret, size_t cap)
{
	_cleanup_(fclosep) FILE *f = open_in(from->proc, "self/cgroup");
	char line[PATH_MAX];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		if (strstr(line, "/..")) /* outside of our namespace */
			return false;
		return (size_t)snprintf(ret, cap, "%s", line + 3) < cap;
	}
	return false;
}

static void find_tightest(const struct room_sources *from, struct limit *ret)
{
	char path[PATH_MAX], own[PATH_MAX / 2];
	size_t root;

	*ret = (struct limit){ .max = UINT64_MAX, .left = UINT64_MAX };
	if (!own_cgroup(from, own, sizeof(own)))
		return;
	root = (size_t)snprintf(path, sizeof(path), "%s/fs/cgroup", from->sys);
	if (root >= sizeof(path) - strlen(own))
		return;
	memcpy(path + root, own, strlen(own) + 1);
	while (strlen(path) > root) { /* the root itself has no limit */
		look(path, ret);
		*strrchr(path, '/') = '\0'; /* there is one: own begins with it */
	}
}

static int check_cgroup(const struct room_sources *from, uint64_t need, struct ghvm_error *err)
{
	struct limit l;

	find_tightest(from, &l);
	if (need <= l.left)
		return 0;
	return ghvm_error_set(err, need > l.max ? -EDQUOT : -ENOSPC,
			      "memory: the guest takes %" PRIu64 " MiB, MemoryMax= of %.200s "
			      "leaves %" PRIu64 " of %" PRIu64
			      " MiB: raise it, or lower memory.size",
			      mib_up(need), l.name, mib(l.left), mib(l.max));
}

/* ---- pools of huge pages ---- */

static int check_pool(const struct room_sources *from, uint64_t need, uint64_t page,
		      struct ghvm_error *err)
{
	uint64_t free_pages, reserved, overcommit, surplus, more;
	uint64_t pages = need / page;
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%.200s/kernel/mm/hugepages/hugepages-%" PRIu64 "kB",
		       from->sys, page / 1024); /* fits */
	if (!need || !read_number(dir, "free_hugepages", &free_pages) ||
	    !read_number(dir, "resv_hugepages", &reserved) ||
	    !read_number(dir, "nr_overcommit_hugepages", &overcommit) ||
	    !read_number(dir, "surplus_hugepages", &surplus))
		return 0; /* making the memory says why */
	more = overcommit > surplus ? overcommit - surplus : 0;
	free_pages = free_pages > reserved ? free_pages - reserved : 0;
	if (pages <= free_pages || pages - free_pages <= more)
		return 0;
	return ghvm_error_set(err, -ENOSPC,
			      "memory: the guest takes %" PRIu64 " pages of %" PRIu64
			      " MiB, their pool has %" PRIu64 " free: raise %s/nr_hugepages, or "
			      "use hugepages: auto",
			      pages, mib(page), free_pages + more, dir);
}

int room_check(const struct room_sources *from, const struct room_want *want,
	       struct ghvm_error *err)
{
	uint64_t need = want->pages ? with_overhead(want->pages) : 0;
	int r = check_cgroup(from, need, err); /* the more exact figure first */

	if (r == 0)
		r = check_free(from, need, err);
	if (r == 0)
		r = check_pool(from, want->pool_2m, GHVM_MIB(2), err);
	if (r == 0)
		r = check_pool(from, want->pool_1g, GHVM_GIB(1), err);
	return r;
}
