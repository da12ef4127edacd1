/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's inline search is the C library's in user space, but an empty array may be NULL. */
#pragma once

#include <stdlib.h>

#define __inline_bsearch(key, base, n, size, compare)                                              \
	((n) ? bsearch(key, base, n, size, compare) : NULL)
