/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For Frama-C's EVA: calls decode() for each length from LENGTH_MIN to LENGTH_MAX, with bytes of any value. The last
 * byte is the last one of its array, so that a read behind it is seen.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "__fc_builtin.h"

static void decode(uint8_t *p, size_t n);

int main(void)
{
	//@ loop unroll LENGTH_MAX + 1;
	for (size_t n = LENGTH_MIN; n <= LENGTH_MAX; n++) {
		uint8_t bytes[LENGTH_MAX + 1];

		Frama_C_make_unknown((char *)bytes, sizeof(bytes));
		decode(bytes + sizeof(bytes) - n, n);
	}
	return 0;
}
