/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest-physical map of one VM: which labels and addresses are taken, and by what.
 *
 * A change has a beginning and an end. From its beginning the region is in the table as RESERVED
 * or REMOVING, which blocks other changes of its label and addresses. Only MAPPED regions are
 * visible to look-ups. Regions never overlap. Ranges are closed, so one may end at the top of the
 * address space.
 */
#pragma once

#include "ghvm/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghvm_region_table;

enum ghvm_region_kind {
	GHVM_REGION_LENT,   /* accessible to the guest only */
	GHVM_REGION_SHARED, /* accessible to guest and host */
};

enum ghvm_region_state {
	GHVM_REGION_RESERVED, /* being added */
	GHVM_REGION_MAPPED,
	GHVM_REGION_REMOVING,
};

/**
 * struct ghvm_region - one run of guest-physical memory
 * @first: first guest-physical byte, page aligned
 * @last: last byte, inclusive
 * @hva: host address of @first, or NULL; borrowed, outlives the table
 * @label: label of its memory parcel, unique in the VM
 * @kind: access of the host
 * @readonly: the guest may only read it
 * @state: see above
 */
struct ghvm_region {
	uint64_t first;
	uint64_t last;
	uint8_t *hva;
	uint32_t label;
	enum ghvm_region_kind kind;
	bool readonly;
	enum ghvm_region_state state;
};

/**
 * struct ghvm_region_request - a requested region, not trusted
 * @ipa: first guest-physical byte
 * @size: bytes
 * @hva: as in struct ghvm_region
 */
struct ghvm_region_request {
	uint64_t ipa;
	uint64_t size;
	uint8_t *hva;
	uint32_t label;
	enum ghvm_region_kind kind;
	bool readonly;
};

/**
 * ghvm_region_table_new() - an empty map
 * @last_ipa: the last guest-physical address
 * @ret: owned, ghvm_region_table_free(); all other functions: any thread
 *
 * Return: 0; -ENOMEM.
 */
int ghvm_region_table_new(uint64_t last_ipa, struct ghvm_region_table **ret);
void ghvm_region_table_free(struct ghvm_region_table *t); /* accepts NULL */
void ghvm_region_table_freep(struct ghvm_region_table **t);

/**
 * ghvm_region_add_begin() - check a region and reserve its label and its addresses
 *
 * On success the caller ends the change by ghvm_region_add_end(), once the guest has the pages,
 * or by ghvm_region_add_cancel().
 *
 * Return: 0; -EINVAL size 0, or address or size not page aligned; -EOVERFLOW the range
 * wraps or leaves the address space; -EEXIST the label or an address is taken; -ENOMEM.
 */
int ghvm_region_add_begin(struct ghvm_region_table *t, const struct ghvm_region_request *q,
			  struct ghvm_error *err);
void ghvm_region_add_end(struct ghvm_region_table *t, uint32_t label);
void ghvm_region_add_cancel(struct ghvm_region_table *t, uint32_t label);

/**
 * ghvm_region_remove_begin() - hide a region; its label and addresses stay taken
 * @ret: a copy; may be NULL
 *
 * On success the caller ends the change by ghvm_region_remove_end(), once the host has the pages
 * back, or by ghvm_region_remove_cancel().
 *
 * Return: 0; -ENOENT no such label; -EBUSY it is being added or removed.
 */
int ghvm_region_remove_begin(struct ghvm_region_table *t, uint32_t label, struct ghvm_region *ret,
			     struct ghvm_error *err);
void ghvm_region_remove_end(struct ghvm_region_table *t, uint32_t label);
void ghvm_region_remove_cancel(struct ghvm_region_table *t, uint32_t label);

/* Find a MAPPED region, in O(log n). Return: 0, @ret a copy; -ENOENT. */
int ghvm_region_find_label(const struct ghvm_region_table *t, uint32_t label,
			   struct ghvm_region *ret);
int ghvm_region_find_ipa(const struct ghvm_region_table *t, uint64_t ipa, struct ghvm_region *ret);

/* The number of regions in any state. */
size_t ghvm_region_count(const struct ghvm_region_table *t);

/* Copy up to @max regions in any state, by rising address. Return: how many. */
size_t ghvm_region_list(const struct ghvm_region_table *t, struct ghvm_region *ret, size_t max);

/**
 * struct ghvm_region_map - a constant snapshot of the MAPPED regions
 * @n: number of regions
 * @v: by rising address
 *
 * For look-ups without a lock. Thread: any. Owned by its creator, free().
 */
struct ghvm_region_map {
	size_t n;
	struct ghvm_region v[];
};

/* Return: 0; -ENOMEM. */
int ghvm_region_map_new(const struct ghvm_region_table *t, struct ghvm_region_map **ret);

/**
 * ghvm_region_map_hva() - translate a guest range
 * @ipa: first guest-physical byte
 * @len: bytes wanted, at least 1
 * @ret: set to @len contiguous bytes, borrowed from the map
 *
 * Return: 0; -EFAULT if any byte is unbacked, in another region, or lent and so not accessible to
 * the host.
 */
int ghvm_region_map_hva(const struct ghvm_region_map *map, uint64_t ipa, uint64_t len,
			uint8_t **ret);
