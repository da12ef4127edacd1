/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Populates memory in advance, in huge pages wherever the kernel can: the resource manager can
 * hold only a few thousand entries for the whole host, which justifies copying (abi K.2).
 *
 * MADV_POPULATE_WRITE and MADV_COLLAPSE return errors where a plain access would raise SIGBUS.
 */
#pragma once

#include "libghvm/hyp/mapping.h"

#include <stdint.h>

/*
 * Populate with pages of any size. Return: 0; -ENOMEM, also if a memory cgroup or file system is
 * full; errno of madvise().
 */
int ghvm_populate(uint8_t *at, uint64_t size);

/**
 * ghvm_populate_huge() - populate with huge pages where possible
 * @at: a multiple of GHVM_HUGE_PAGE; @size: whole pages
 * @ret: number of huge pages; untouched on failure; may be NULL
 *
 * Return: as ghvm_populate().
 */
int ghvm_populate_huge(uint8_t *at, uint64_t size, uint64_t *ret);

/*
 * As ghvm_populate_huge(), for the first @size bytes of a memfd, which is mapped meanwhile only. Return: also
 * -EOPNOTSUPP for a file of hugetlbfs.
 */
int ghvm_populate_memfd(int memfd, uint64_t size);
