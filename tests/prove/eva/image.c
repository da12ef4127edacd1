/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * With the contract of pe_end() in place of its code: WP proves it, and EVA does not follow its offsets.
 *
 * eva: -eva-use-spec pe_end
 */
#include "libghvm/plan/image.c"

#define LENGTH_MIN 515
#define LENGTH_MAX 518 /* the last magic number has its last byte here */
#include "tests/prove/eva/any.h"

static void decode(uint8_t *p, size_t n)
{
	struct ghvm_image image;
	struct ghvm_error err;

	(void)ghvm_image_parse(p, n, Frama_C_unsigned_long_interval(0, UINT64_MAX), &image, &err);
}
