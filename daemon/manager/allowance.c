/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that comes at run time is pinned by us, and charged to us where nobody has touched
 * it before; so it is our limits that it must fit.
 */
#include "daemon/manager/allowance.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libghvm/cleanup.h"

#define CGROUPS "/sys/fs/cgroup"

/* Of cgroup v2 the one line "0::/PATH". */
static bool own_cgroup(char *ret, size_t size)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		return (size_t)snprintf(ret, size, CGROUPS "%s/memory.max", line + 3) < size;
	}
	return false;
}

static uint64_t read_cgroup(void)
{
	char path[PATH_MAX], line[32], *end;
	_cleanup_(fclosep) FILE *f = NULL;
	unsigned long long v;

	if (own_cgroup(path, sizeof(path)))
		f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		return UINT64_MAX;
	errno = 0;
	v = strtoull(line, &end, 10);
	return errno || end == line ? UINT64_MAX : v; /* "max" is no number */
}

void allowance_read(bool locks, struct allowance *ret)
{
	const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	struct rlimit l;

	*ret = (struct allowance){ .memlock = UINT64_MAX, .cgroup = read_cgroup() };
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
	/* what is pinned since a start stands in the locked, but not in our cgroup */
	const uint64_t locked = less(a->memlock, less(use->pinned, use->added));
	const uint64_t all = least(locked, least(a->cgroup, a->ram)), one = all / 2;

	if (use->vm_added > one || bytes > one - use->vm_added)
		return ghvm_error_set(err, -EDQUOT,
				      "%" PRIu64 " bytes beside the %" PRIu64
				      " added already are more than the %" PRIu64
				      " that one virtual machine may have added",
				      bytes, use->vm_added, one);
	if (use->added > all || bytes > all - use->added)
		return ghvm_error_set(err, -EDQUOT,
				      "%" PRIu64 " bytes beside the %" PRIu64
				      " added on this host already are more than the %" PRIu64
				      " that may be",
				      bytes, use->added, all);
	return 0;
}
