/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is there room for a guest's memory? Asked before any of it is populated, since afterwards
 * the answer would be the OOM killer's.
 */
#pragma once

#include <stdint.h>

#include "daemon/ipc/headroom.h"

/**
 * struct room_want - what is about to be populated, in bytes
 * @pages: ordinary memory, charged to our cgroup
 * @pool_2m, @pool_1g: from the pools of huge pages, whose limits are their own
 */
struct room_want {
	uint64_t pages;
	uint64_t pool_2m;
	uint64_t pool_1g;
};

/**
 * room_check() - against free memory, the limits of our cgroup and of those above, for huge pages
 * too, and the pools
 *
 * What the kernel does not tell (no memory controller, no such pool) is not checked here.
 *
 * Return: 0; -ENOSPC not now; -EDQUOT never under this limit. @err names the figures and
 * what to raise.
 */
int room_check(const struct ghvm_room_sources *from, const struct room_want *want,
	       struct ghvm_error *err);
