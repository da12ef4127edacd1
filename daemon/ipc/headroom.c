/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the kernel's memory figures and compares them with a need.
 */
#include "daemon/ipc/headroom.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE 512

struct ghvm_room_sources ghvm_room_sources_default(void)
{
	return (struct ghvm_room_sources){ .proc = "/proc", .sys = "/sys" };
}

static FILE *open_in(const char *dir, const char *file)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) >= sizeof(path))
		return NULL;
	return fopen(path, "re");
}

bool ghvm_room_number(const char *dir, const char *file, uint64_t *ret)
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

/* The kernel drops cached files before it invokes the OOM killer. */
static uint64_t reclaimable(const char *dir)
{
	return read_key(dir, "memory.stat", "inactive_file") +
	       read_key(dir, "memory.stat", "active_file");
}

/* The lower of MemoryHigh= and MemoryMax=. Return: its name; NULL: neither is set. */
static const char *read_limit(const char *dir, uint64_t *ret)
{
	uint64_t high = UINT64_MAX, max = UINT64_MAX;

	(void)ghvm_room_number(dir, "memory.high", &high); /* unset if unreadable */
	(void)ghvm_room_number(dir, "memory.max", &max);
	*ret = high < max ? high : max;
	if (*ret == UINT64_MAX)
		return NULL;
	return high < max ? "MemoryHigh=" : "MemoryMax=";
}

static void read_cgroup(const char *dir, void *data)
{
	uint64_t max, current, spare, left;
	const char *name = strrchr(dir, '/'), *directive = read_limit(dir, &max);
	struct ghvm_room *ret = data;

	if (!directive || !ghvm_room_number(dir, "memory.current", &current))
		return;
	if (max < ret->limit)
		ret->limit = max;
	spare = reclaimable(dir);
	current = current > spare ? current - spare : 0;
	left = max > current ? max - current : 0;
	if (left >= ret->left)
		return;
	ret->max = max;
	ret->left = left;
	ret->directive = directive;
	(void)snprintf(ret->cgroup, sizeof(ret->cgroup), "%s", name ? name + 1 : dir);
}

/* The path of this process in the cgroup v2 hierarchy; false: none, or not visible. */
static bool own_cgroup(const struct ghvm_room_sources *from, char *ret, size_t cap)
{
	_cleanup_(fclosep) FILE *f = open_in(from->proc, "self/cgroup");
	char line[PATH_MAX];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		if (strstr(line, "/..")) /* outside of this cgroup namespace */
			return false;
		return (size_t)snprintf(ret, cap, "%s", line + 3) < cap;
	}
	return false;
}

void ghvm_room_each_cgroup(const struct ghvm_room_sources *from,
			   void (*fn)(const char *dir, void *data), void *data)
{
	char path[PATH_MAX], own[PATH_MAX / 2];
	size_t root;

	if (!own_cgroup(from, own, sizeof(own)))
		return;
	root = (size_t)snprintf(path, sizeof(path), "%s/fs/cgroup", from->sys);
	if (root >= sizeof(path) - strlen(own))
		return;
	memcpy(path + root, own, strlen(own) + 1);
	while (strlen(path) > root) { /* the root itself has no limit */
		fn(path, data);
		*strrchr(path, '/') = '\0'; /* exists: own begins with it */
	}
}

void ghvm_room_read(const struct ghvm_room_sources *from, struct ghvm_room *ret)
{
	uint64_t kib = read_key(from->proc, "meminfo", "MemAvailable:");

	*ret = (struct ghvm_room){
		.available = kib && kib <= UINT64_MAX / 1024 ? kib * 1024 : UINT64_MAX,
		.limit = UINT64_MAX,
		.max = UINT64_MAX,
		.left = UINT64_MAX,
	};
	ghvm_room_each_cgroup(from, read_cgroup, ret);
}

/* check */

/* Plus the kernel's overhead: page tables and the file's index. */
static uint64_t with_overhead(uint64_t bytes)
{
	uint64_t more = bytes / 128 + GHVM_MIB(2);

	if (!bytes)
		return 0;
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

int ghvm_room_check(const struct ghvm_room *room, uint64_t bytes,
		    const struct ghvm_room_words *words, struct ghvm_error *err)
{
	uint64_t need = with_overhead(bytes);

	if (need > room->left) /* the more exact figure first */
		return ghvm_error_set(err, need > room->max ? -EDQUOT : -ENOSPC,
				      "memory: %s takes %" PRIu64 " MiB, %s of %.200s "
				      "leaves %" PRIu64 " of %" PRIu64 " MiB: raise it, or %s",
				      words->subject, mib_up(need), room->directive, room->cgroup,
				      mib(room->left), mib(room->max), words->remedy);
	if (need > room->available)
		return ghvm_error_set(err, -ENOSPC,
				      "memory: %s takes %" PRIu64 " MiB, the host has %" PRIu64
				      " MiB available: stop something else, or %s",
				      words->subject, mib_up(need), mib(room->available),
				      words->remedy);
	return 0;
}
