/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: a populated memfd, with huge pages where possible.
 *
 * Memory is charged to the cgroup that populates it. This code runs inside the unit, so that the unit's
 * limits apply. The kernel chooses the NUMA node according to the unit's NUMAPolicy=. The resource manager
 * has only a few thousand entries for the whole host, so 2 MiB pages are worth compaction and copying.
 */
#pragma once

#include <stdint.h>

#include "daemon/prepare/contiguity.h"
#include "ghvm/error.h"
#include "ghvm/spec.h"

#define BACKING_HUGE CONTIGUITY_HUGE

/**
 * struct backing_result - properties of the memory
 * @chunks: number of 2 MiB chunks; @huge: number of those that are one huge page
 * @pieces: number of physically contiguous pieces; 0: not known
 */
struct backing_result {
	uint64_t chunks;
	uint64_t huge;
	uint64_t pieces;
};

/**
 * backing_make() - allocate and populate @size bytes
 * @name: shown in /proc, e.g. "ram"
 * @size: not 0, a multiple of the requested page size
 * @hugepages: AUTO uses huge pages where available, 2M and 1G use only hugetlb pages
 * @ret: may be NULL
 *
 * Return: a populated memfd with a sealed size; -EINVAL bad size; -ENOMEM; -EOPNOTSUPP the host has no
 * pages of this size.
 */
int backing_make(const char *name, uint64_t size, enum ghvm_hugepages hugepages,
		 struct backing_result *ret, struct ghvm_error *err);
