/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: a memfd whose pages are all there, huge ones wherever possible.
 *
 * Whoever populates pays: this runs inside the unit's cgroup, so that its limits act on
 * guest memory. On which NUMA node the pages are is the kernel's choice, after the unit's
 * NUMAPolicy=. The resource manager has room for few thousand entries on the whole host,
 * so 2 MiB pages are worth compaction and copies.
 */
#pragma once

#include <stdint.h>

#include "daemon/prepare/contiguity.h"
#include "ghvm/error.h"
#include "ghvm/spec.h"

#define BACKING_HUGE CONTIGUITY_HUGE

/**
 * struct backing_result - what became of it
 * @chunks: whole 2 MiB pieces; @huge: of them, those that are one page
 * @pieces: it has in physical memory; 0: not known
 */
struct backing_result {
	uint64_t chunks;
	uint64_t huge;
	uint64_t pieces;
};

/**
 * backing_make() - memory of @size bytes
 * @name: for /proc, e.g. "ram"
 * @size: not 0, a multiple of the page size asked for
 * @hugepages: AUTO takes what there is, 2M and 1G take hugetlb pages only
 * @ret: may be NULL
 *
 * Return: a memfd, populated, its size sealed; -EINVAL bad size; -ENOMEM; -EOPNOTSUPP
 * pages of that size do not exist here.
 */
int backing_make(const char *name, uint64_t size, enum ghvm_hugepages hugepages,
		 struct backing_result *ret, struct ghvm_error *err);
