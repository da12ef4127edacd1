/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits that are checked before a start.
 */
#include "daemon/manager/instance/admission.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"

#define CAP_IPC_LOCK_BIT 14

/* Parse "KEY:	VALUE". Return: false if the key is not found. */
static bool find_value(const char *line, const char *key, int base, uint64_t *ret)
{
	size_t n = strlen(key);

	if (strncmp(line, key, n) != 0)
		return false;
	*ret = strtoull(line + n, NULL, base);
	return true;
}

int admission_check_memlock(const char *status, uint64_t limit, uint64_t bytes,
			    struct ghvm_error *err)
{
	_cleanup_(fclosep) FILE *f = fopen(status, "re");
	uint64_t kib = 0, caps = 0, pinned;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		(void)find_value(line, "VmPin:", 10, &kib);
		(void)find_value(line, "CapEff:", 16, &caps);
	}
	pinned = kib << 10;
	if (caps >> CAP_IPC_LOCK_BIT & 1 || (bytes <= limit && pinned <= limit - bytes))
		return 0;
	return ghvm_error_set(err, bytes > limit ? -EDQUOT : -E2BIG,
			      "memory: cannot pin %" PRIu64 " MiB: the manager may pin %" PRIu64
			      " MiB and has pinned %" PRIu64
			      ": raise LimitMEMLOCK= of gunyah-vmd.service",
			      bytes >> 20, limit >> 20, pinned >> 20);
}

/* The number with the largest possible pages; the actual number is known when it is pinned. */
static uint64_t fewest_entries(const struct guest_need *n)
{
	uint64_t unit = n->is.hugepages == GHVM_HUGEPAGES_1G ? GHVM_GIB(1) : GHVM_MIB(2);

	return n->is.size / unit + (n->is.size % unit != 0);
}

/* What to do about too many entries: use larger pages, if the guest has memory for one. */
static const char *remedy(const struct guest *g)
{
	if (g->spec.hugepages == GHVM_HUGEPAGES_1G || g->spec.memory < GHVM_GIB(1))
		return "lower memory.size";
	return "use memory.hugepages: 1G, or lower memory.size";
}

int admission_check(const struct guest *g, struct ghvm_error *err)
{
	uint64_t entries = 0, bytes = 0;
	struct rlimit limit;
	unsigned int n = 0;
	int r;

	for (size_t i = 0; i < g->n_needs; i++) {
		if (g->needs[i].is.kind != GHVM_LINK_MEMORY)
			continue;
		entries += fewest_entries(&g->needs[i]);
		bytes +=
			g->needs[i].is.size; /* cannot overflow: the spec limits number and sizes */
		n++;
	}
	r = ghvm_ledger_check(g->host->ledger, entries, n, remedy(g), err);
	if (r < 0 || !g->host->host->ops->charges_memlock || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return r;
	return admission_check_memlock("/proc/self/status", limit.rlim_cur, bytes, err);
}
