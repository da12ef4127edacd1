/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a start needs besides its descriptor. Manager and helper each derive them from the
 * descriptor; the helper refuses a request that its own reading of the descriptor does not
 * contain (decision 36).
 */
#pragma once

#include "daemon/ipc/protocol.h"
#include "ghvm/spec.h"

#include <stddef.h>
#include <stdint.h>

#define GHVM_NEEDS_MAX                                                                             \
	(5 + GHVM_SPEC_REGIONS_MAX + GHVM_SPEC_LOGS_MAX + GHVM_SPEC_VHOST_MAX + GHVM_SPEC_DISKS_MAX)
#define GHVM_NEED_KEY_SIZE 32

/**
 * struct ghvm_need - one file that the helper provides
 * @index: index among those of its kind
 * @size, @hugepages: of memory
 * @key: key of the descriptor that asks for it, static; sent
 * @path: of an existing file, borrowed from the spec; NULL: none. Never sent.
 */
struct ghvm_need {
	enum ghvm_link_kind kind;
	uint16_t index;
	uint8_t hugepages;
	uint64_t size;
	const char *key;
	const char *path;
};

/* Memory in the order of the plan's parcels, then files. Return: the number of needs. */
size_t ghvm_needs_of(const struct ghvm_spec *spec, struct ghvm_need ret[GHVM_NEEDS_MAX]);

/* One element of GHVM_LINK_NEED. */
void ghvm_need_put(struct ghvm_put *w, const struct ghvm_need *n);
/* @ret: without a path; @key holds its key. A malformed element marks the cursor bad. */
void ghvm_need_get(struct ghvm_get *g, struct ghvm_need *ret, char key[GHVM_NEED_KEY_SIZE]);
