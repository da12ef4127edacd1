/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is there room for memory? Asked before any of it is populated, since afterwards the answer
 * would be the OOM killer's.
 */
#pragma once

#include "libghvm/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct ghvm_room_sources - where the kernel says what there is
 * @proc: "/proc"; @sys: "/sys"
 */
struct ghvm_room_sources {
	const char *proc;
	const char *sys;
};

/* Those of this machine. */
struct ghvm_room_sources ghvm_room_sources_default(void);

/**
 * struct ghvm_room - bytes; UINT64_MAX: there is no limit, or none is told
 * @available: of the host's memory, MemAvailable
 * @limit: the lowest MemoryMax= or MemoryHigh= of our cgroup and of those above it
 * @left, @max, @cgroup: of the one among them that leaves least; @directive: which of the two
 *
 * Above MemoryHigh= nothing is refused: who touches a page is put to sleep, and guest memory has
 * nothing that could be reclaimed. A start would only stand still until its time-out.
 */
struct ghvm_room {
	uint64_t available;
	uint64_t limit;
	uint64_t left;
	uint64_t max;
	char cgroup[NAME_MAX + 1];
	const char *directive;
};

/* As of now, for this process. */
void ghvm_room_read(const struct ghvm_room_sources *from, struct ghvm_room *ret);

/* Our cgroup and those above it but the root, as folders. */
void ghvm_room_each_cgroup(const struct ghvm_room_sources *from,
			   void (*fn)(const char *dir, void *data), void *data);

/* A file that is one number; "max" is UINT64_MAX. False, @ret untouched or not: it is none. */
bool ghvm_room_number(const char *dir, const char *file, uint64_t *ret);

/**
 * struct ghvm_room_words - for the refusal
 * @who: takes memory; @remedy: what to do besides giving it more
 */
struct ghvm_room_words {
	const char *who;
	const char *remedy;
};

/**
 * ghvm_room_check() - is it enough for @bytes of ordinary memory?
 * Return: 0; -ENOSPC not now; -EDQUOT never under this limit. @err names the figures.
 */
int ghvm_room_check(const struct ghvm_room *room, uint64_t bytes,
		    const struct ghvm_room_words *words, struct ghvm_error *err);
