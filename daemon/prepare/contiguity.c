/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uses /proc/buddyinfo before and /proc/self/pagemap after memory is populated.
 */
#include "daemon/prepare/contiguity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#define HUGE_ORDER 9 /* of 4 KiB */
#define MAX_ORDERS 32

/* An entry of the pagemap, Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT (1ULL << 63)
#define PAGEMAP_PFN ((1ULL << 55) - 1)
#define PAGEMAP_STEP 512

uint64_t contiguity_free(const char *buddyinfo)
{
	_cleanup_(fclosep) FILE *f = fopen(buddyinfo, "re");
	uint64_t sum = 0;
	char line[512];

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f)) {
		char *p = strstr(line, "zone"), *save = NULL, *word;

		p = p ? strtok_r(p + 4, " \n", &save) : NULL;
		for (unsigned int order = 0;
		     p && order < MAX_ORDERS && (word = strtok_r(NULL, " \n", &save)); order++)
			if (order >= HUGE_ORDER)
				sum += strtoull(word, NULL, 10) << (order - HUGE_ORDER);
	}
	return sum;
}

/* Best effort: errors are ignored. */
void contiguity_compact(const char *buddyinfo, const char *trigger, uint64_t pieces)
{
	int fd;

	if (contiguity_free(buddyinfo) >= pieces)
		return;
	fd = open(trigger, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "1", 1);
	(void)close(fd); /* cannot fail */
}

/**
 * struct run - state of the scan
 * @next: page that would continue the last piece; @count: number of pieces
 */
struct run {
	uint64_t next;
	uint64_t count;
};

/* Each entry is the first of @pages contiguous pages. */
static int add_entries(struct run *run, const uint64_t *entries, size_t n, uint64_t pages)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t pfn = entries[i] & PAGEMAP_PFN;

		if (!(entries[i] & PAGEMAP_PRESENT))
			return -ENODATA;
		if (!pfn)
			return -EPERM;
		run->count += !run->count || pfn != run->next;
		run->next = pfn + pages;
	}
	return 0;
}

int contiguity_measure(const void *at, uint64_t size, uint64_t piece, uint64_t *ret)
{
	_cleanup_(closep) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = piece / page;
	uint64_t entries[PAGEMAP_STEP], first = (uintptr_t)at / page, n;
	struct run run = {};
	int r;

	if (fd < 0)
		return -errno;
	for (uint64_t left = size / piece; left; left -= n, first += n * pages) {
		size_t bytes;

		n = pages > 1 ? 1 : left < PAGEMAP_STEP ? left : PAGEMAP_STEP;
		bytes = n * sizeof(entries[0]);
		if (pread(fd, entries, bytes, (off_t)(first * sizeof(entries[0]))) !=
		    (ssize_t)bytes)
			return -EIO;
		r = add_entries(&run, entries, n, pages);
		if (r < 0)
			return r;
	}
	*ret = run.count;
	return 0;
}
