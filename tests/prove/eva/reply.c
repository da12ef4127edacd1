/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libghvm/rm/vm-calls.c"

#define LENGTH_MIN 0
#define LENGTH_MAX (4 + RESOURCE_SIZE + 1)
#include "tests/prove/eva/any.h"

static void decode_resources(const uint8_t *p, size_t n)
{
	struct ghvm_get g = { .buf = p, .len = n };
	struct ghvm_rm_resources resources = {};

	if (get_resources(&g, &resources) == 0)
		ghvm_rm_resources_done(&resources);
}

/* EVA knows the size of what is allocated if it knows the count, so the counts that can fit are gone through. */
static void decode(uint8_t *p, size_t n)
{
	struct ghvm_get g = { .buf = p, .len = n };
	uint8_t count[4] = {};

	(void)get_state(&g);
	//@ loop unroll 3;
	for (count[0] = 0; n >= 4 && count[0] <= 2; count[0]++) {
		memcpy(p, count, sizeof(count));
		decode_resources(p, n);
	}
}
