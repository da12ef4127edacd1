/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory guests may get at run time: checked against the limits of the manager, which are read
 * once, and against the memory that is free now.
 */
#pragma once

#include "daemon/ipc/headroom.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * struct allowance - bytes; UINT64_MAX: no limit
 * @memlock: RLIMIT_MEMLOCK, for all pinned memory
 * @cgroup: MemoryMax= of the manager's unit, or a lower limit above it
 * @ram: half of the host's memory
 */
struct allowance {
	uint64_t memlock;
	uint64_t cgroup;
	uint64_t ram;
};

/* A limit that cannot be read is ignored. @locks: pins count for RLIMIT_MEMLOCK; false on a model. */
void allowance_read(bool locks, struct allowance *ret);

/**
 * struct allowance_use - bytes in use
 * @pinned: pinned for all guests
 * @added: part of @pinned that was added at run time, and requested additions
 * @vm_added: the same for one VM
 */
struct allowance_use {
	uint64_t pinned;
	uint64_t added;
	uint64_t vm_added;
};

/**
 * allowance_check() - may @bytes be added to a VM? One VM may have half of the total
 *
 * Return: 0; -EDQUOT, with the figures.
 */
int allowance_check(const struct allowance *a, const struct allowance_use *use, uint64_t bytes,
		    struct ghvm_error *err);

/**
 * allowance_room() - is that much memory free now? Called before the memory is populated
 * @bytes: unpopulated bytes of this request and of requests waiting for their commit
 *
 * Return: 0; -ENOSPC not now; -EDQUOT never; with the sizes in @err.
 */
int allowance_room(const struct ghvm_room_sources *from, uint64_t bytes, struct ghvm_error *err);
