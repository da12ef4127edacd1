/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks of a start before its memory is populated: whether the resource manager has enough entries, and
 * whether the manager may pin the memory.
 */
#pragma once

#include <stdint.h>

#include "daemon/manager/instance/instance.h"
#include "ghvm/error.h"

/**
 * admission_check() - may @g get its memory?
 *
 * Nothing is reserved: of two concurrent starts both may pass, and the second is refused when its memory
 * is pinned.
 *
 * Return: 0; -E2BIG not now: too few free entries, parcels, or bytes of RLIMIT_MEMLOCK; -EDQUOT never:
 * more than the host has in total. @err has the numbers.
 */
int admission_check(const struct guest *g, struct ghvm_error *err);

/**
 * admission_check_memlock() - may @bytes more be pinned?
 * @status: a file like /proc/self/status: pinned memory, and whether the limit applies
 * @limit: RLIMIT_MEMLOCK
 */
int admission_check_memlock(const char *status, uint64_t limit, uint64_t bytes,
			    struct ghvm_error *err);
