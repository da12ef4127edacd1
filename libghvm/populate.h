/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that is all there, in huge pages wherever the kernel can: the resource manager has
 * room for few thousand entries on the whole host, so they are worth copies (abi K.2).
 *
 * MADV_POPULATE_WRITE and MADV_COLLAPSE return errors where a touch would be a SIGBUS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_HUGE_PAGE (2UL << 20)

/**
 * struct ghvm_mapping - a memfd, mapped for populating only
 * @at: where it begins
 * @all, @all_size: what is unmapped
 */
struct ghvm_mapping {
	uint8_t *at;
	void *all;
	size_t all_size;
};

/**
 * ghvm_mapping_make() - map the first @size bytes of @fd, to write
 * @align: on a boundary of GHVM_HUGE_PAGE, without which nothing can become one
 * @ret: ghvm_mapping_done(); untouched on failure
 *
 * Return: 0; -EOPNOTSUPP @align is asked for of hugetlb pages, which are huge without; mmap()'s.
 */
int ghvm_mapping_make(int fd, uint64_t size, bool align, struct ghvm_mapping *ret);
/* Right for a blank one, and twice. */
void ghvm_mapping_done(struct ghvm_mapping *m);

/* Pages as they come. Return: 0; -ENOMEM, also of a memory cgroup or a file system; madvise()'s. */
int ghvm_populate(uint8_t *at, uint64_t size);

/**
 * ghvm_populate_huge() - huge pages where there are any to be had, others where not
 * @at: on a boundary of GHVM_HUGE_PAGE; @size: whole pages
 * @ret: how many are huge; untouched on failure; may be NULL
 *
 * Return: as ghvm_populate().
 */
int ghvm_populate_huge(uint8_t *at, uint64_t size, uint64_t *ret);

/* The same for the first @size bytes of a memfd, which stays unmapped. */
int ghvm_populate_memfd(int memfd, uint64_t size);
