/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In how many pieces memory is: the resource manager needs an entry for each (abi K.2).
 */
#pragma once

#include <stdint.h>

#include "libghvm/memory/populate.h"

#define CONTIGUITY_HUGE GHVM_HUGE_PAGE

/* Free pieces of 2 MiB, after a file like /proc/buddyinfo; UINT64_MAX: it does not say. */
uint64_t contiguity_free(const char *buddyinfo);

#define CONTIGUITY_BUDDYINFO "/proc/buddyinfo"
#define CONTIGUITY_COMPACT "/proc/sys/vm/compact_memory"

/* Ask the kernel (@trigger) to make room for @pieces of 2 MiB, if there are fewer. */
void contiguity_compact(const char *buddyinfo, const char *trigger, uint64_t pieces);

/**
 * contiguity_measure() - physically contiguous runs behind a mapping
 * @at: page aligned, populated; @size: whole pages
 * @ret: untouched on failure
 *
 * The kernel may still move pages until they are pinned, so that the extents of the pin
 * count in the end, not these.
 *
 * Return: 0; -EPERM: only root may see where pages are; -EIO; -ENODATA: some are not there.
 */
int contiguity_measure(const void *at, uint64_t size, uint64_t *ret);
