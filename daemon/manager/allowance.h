/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory this process may pin beside what guests start with. Pure, but for reading
 * limits of its own once.
 */
#pragma once

#include "libghvm/error.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * struct allowance - bytes; UINT64_MAX: no limit
 * @memlock: RLIMIT_MEMLOCK, which everything counts against that is pinned
 * @cgroup: MemoryMax= of our unit
 * @ram: half of what the host has
 */
struct allowance {
	uint64_t memlock;
	uint64_t cgroup;
	uint64_t ram;
};

/* What cannot be read is no limit. @locks: pins count against what we may lock, as a model's do not. */
void allowance_read(bool locks, struct allowance *ret);

/**
 * struct allowance_use - bytes now
 * @pinned: by all guests, @added: of that at run time, or asked for already
 * @vm_added: of one VM, the same
 */
struct allowance_use {
	uint64_t pinned;
	uint64_t added;
	uint64_t vm_added;
};

/**
 * allowance_check() - may @bytes more be added to a VM? One may have half of what all may
 *
 * Return: 0; -EDQUOT, with the figures.
 */
int allowance_check(const struct allowance *a, const struct allowance_use *use, uint64_t bytes,
		    struct ghvm_error *err);
