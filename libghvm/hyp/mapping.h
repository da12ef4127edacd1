/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A part of a memfd, mapped where the kernel can map huge pages: an address that differs from the file's offset by
 * whole huge pages. At any other address it maps each huge page as 512 small ones.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_HUGE_PAGE (2UL << 20)

/**
 * struct ghvm_mapping - a part of a file that is mapped
 * @at: its start
 * @all, @all_size: range to unmap
 */
struct ghvm_mapping {
	uint8_t *at;
	void *all;
	size_t all_size;
};

/**
 * ghvm_mapping_make() - map @size bytes from @offset of @fd for reading and writing
 * @ret: ghvm_mapping_done(); untouched on failure
 *
 * Return: 0; -ENOMEM: too large; errno of fstatfs() and mmap().
 */
int ghvm_mapping_make(int fd, uint64_t offset, uint64_t size, struct ghvm_mapping *ret);
/* As ghvm_mapping_make(), for reading only: also of a file that is sealed against writing. */
int ghvm_mapping_read(int fd, uint64_t offset, uint64_t size, struct ghvm_mapping *ret);
/* May be repeated, and called on a zeroed mapping. */
void ghvm_mapping_done(struct ghvm_mapping *m);

/* Is it a file of hugetlbfs (its pages are huge anyway)? False if that cannot be found out. */
bool ghvm_is_hugetlb(int fd);
