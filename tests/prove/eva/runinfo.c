/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ipc/runinfo.c"

#define LENGTH_MIN 48
#define LENGTH_MAX 57 /* up to the lists, which WP proves */
#include "tests/prove/eva/any.h"

static void decode(uint8_t *p, size_t n)
{
	struct ghvm_get g = { .buf = p, .len = n };
	struct ghvm_runinfo info = {};

	(void)get_runinfo(&g, &info);
}
