/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be known of a start before any memory is populated for it: whether the resource
 * manager can hold it, and whether we may pin it.
 */
#pragma once

#include <stdint.h>

#include "daemon/manager/instance/instance.h"
#include "ghvm/error.h"

/**
 * admission_check() - may @g be given its memory?
 *
 * Nothing is reserved: two that fit one at a time may both pass, and the second is refused
 * when it is pinned.
 *
 * Return: 0; -E2BIG not now: the host's entries, its parcels, or what we have pinned; -EDQUOT
 * never: more entries than there are, or than our RLIMIT_MEMLOCK. @err names the figures.
 */
int admission_check(const struct guest *g, struct ghvm_error *err);

/**
 * admission_check_memlock() - @bytes more, under a limit
 * @status: a file like /proc/self/status, for what is pinned, and whether we are limited
 * @limit: RLIMIT_MEMLOCK
 */
int admission_check_memlock(const char *status, uint64_t limit, uint64_t bytes,
			    struct ghvm_error *err);
