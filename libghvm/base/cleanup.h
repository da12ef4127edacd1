/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ownership: release at the end of a scope, and transfer.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* Evaluate to the value and clear the variable: ownership moves to the caller. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})
#define TAKE_STRUCT(s)                                                                             \
	({                                                                                         \
		__typeof__(s) taken_ = (s);                                                        \
		(s) = (__typeof__(s)){};                                                           \
		taken_;                                                                            \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing can be done about it */
}

static inline void fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f); /* only for files opened for reading */
}
