/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libghvm/memory/tag.c"

#define LENGTH_MIN GHVM_TAG_BYTES
#define LENGTH_MAX GHVM_TAG_BYTES
#include "tests/prove/eva/any.h"

static void decode(uint8_t *p, size_t n)
{
	struct ghvm_tag tag;

	(void)ghvm_tag_decode(p, &tag);
}
