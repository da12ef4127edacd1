/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Number of physically contiguous pieces of memory: each needs an entry of the resource manager (abi K.2).
 */
#pragma once

#include <stdint.h>

#include "libghvm/memory/populate.h"

#define CONTIGUITY_HUGE GHVM_HUGE_PAGE

/* Number of free 2 MiB pieces according to a file like /proc/buddyinfo; UINT64_MAX: unknown. */
uint64_t contiguity_free(const char *buddyinfo);

#define CONTIGUITY_BUDDYINFO "/proc/buddyinfo"
#define CONTIGUITY_COMPACT "/proc/sys/vm/compact_memory"

/* Trigger memory compaction by writing to @trigger, if fewer than @pieces of 2 MiB are free. */
void contiguity_compact(const char *buddyinfo, const char *trigger, uint64_t pieces);

/**
 * contiguity_measure() - count the physically contiguous pieces of a mapping
 * @at: page aligned, populated; @size: whole pages
 * @piece: size of pieces that are known to be contiguous: a page, or CONTIGUITY_HUGE, of which @size is a multiple then
 * @ret: untouched on failure
 *
 * The kernel may move pages until they are pinned, so the number is only an estimate of the extents of
 * the pin.
 *
 * Return: 0; -EPERM: not root; -EIO; -ENODATA: some pages are not populated.
 */
int contiguity_measure(const void *at, uint64_t size, uint64_t piece, uint64_t *ret);
