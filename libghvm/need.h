/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a start needs, after its descriptor. Manager and helper each read the descriptor and
 * work this out: what the one asks for and the descriptor does not say, the other refuses.
 */
#pragma once

#include "libghvm/link.h"
#include "libghvm/spec.h"

#include <stddef.h>
#include <stdint.h>

#define GHVM_NEEDS_MAX (4 + GHVM_SPEC_REGIONS_MAX + GHVM_SPEC_LOGS_MAX)
#define GHVM_NEED_KEY_SIZE 32

/**
 * struct ghvm_need - one file that the helper gives
 * @index: which of its kind
 * @size, @hugepages: of memory
 * @key: of the descriptor that asks for it; goes over the wire, static
 * @path: of a file that is there already, borrowed from the spec; NULL: none. Never sent.
 */
struct ghvm_need {
	enum ghvm_link_kind kind;
	uint16_t index;
	uint8_t hugepages;
	uint64_t size;
	const char *key;
	const char *path;
};

/* In the order of the plan's parcels, files after memory. Return: how many. */
size_t ghvm_needs_of(const struct ghvm_spec *spec, struct ghvm_need ret[GHVM_NEEDS_MAX]);

/* One element of GHVM_LINK_NEED. */
void ghvm_need_put(struct ghvm_put *w, const struct ghvm_need *n);
/* @ret: without path; its key is in @key. The cursor goes bad if it is malformed. */
void ghvm_need_get(struct ghvm_get *g, struct ghvm_need *ret, char key[GHVM_NEED_KEY_SIZE]);
