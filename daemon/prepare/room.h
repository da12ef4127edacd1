/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Check whether there is enough memory for a guest. Done before the memory is populated, because later the
 * OOM killer would act.
 */
#pragma once

#include <stdint.h>

#include "daemon/ipc/headroom.h"

/**
 * struct room_want - memory to be populated, in bytes
 * @pages: ordinary memory, charged to the unit's cgroup
 * @pool_2m, @pool_1g: from the pools of huge pages, which have separate limits
 */
struct room_want {
	uint64_t pages;
	uint64_t pool_2m;
	uint64_t pool_1g;
};

/**
 * room_check() - check free memory, the limits of the unit's cgroup and of those above it, and the pools
 * of huge pages
 *
 * Limits that the kernel does not report (no memory controller, no such pool) are not checked.
 *
 * Return: 0; -ENOSPC not now; -EDQUOT never under this limit. @err has the sizes and the limit to raise.
 */
int room_check(const struct ghvm_room_sources *from, const struct room_want *want,
	       struct ghvm_error *err);
