/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory this process may pin beside what guests start with: a share of limits, which
 * are read once, and of what there is right now.
 */
#pragma once

#include "daemon/ipc/headroom.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * struct allowance - bytes; UINT64_MAX: no limit
 * @memlock: RLIMIT_MEMLOCK, which everything counts against that is pinned
 * @cgroup: MemoryMax= of our unit, or lower of one above it
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

/**
 * allowance_room() - is there that much now? Asked before any of it is populated
 * @bytes: not populated yet, of this request and of those that wait for their commit
 *
 * Return: 0; -ENOSPC not now; -EDQUOT never; with the figures.
 */
int allowance_room(const struct ghvm_room_sources *from, uint64_t bytes, struct ghvm_error *err);
