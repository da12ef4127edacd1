/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks for available memory. Done before memory is populated: afterwards the OOM killer would
 * act.
 */
#pragma once

#include "ghvm/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct ghvm_room_sources - directories with the kernel's figures
 * @proc: "/proc"; @sys: "/sys"
 */
struct ghvm_room_sources {
	const char *proc;
	const char *sys;
};

/* The directories of this machine. */
struct ghvm_room_sources ghvm_room_sources_default(void);

/**
 * struct ghvm_room - available memory in bytes; UINT64_MAX: no limit, or unknown
 * @available: MemAvailable of the host
 * @limit: the lowest MemoryMax= or MemoryHigh= of our cgroup and of those above it
 * @left, @max, @cgroup: of the cgroup with the least left; @directive: "MemoryMax=" or
 * "MemoryHigh="
 *
 * Above MemoryHigh= the kernel does not refuse memory but puts the process to sleep to reclaim
 * some. Guest memory cannot be reclaimed, so a start would stand still until its time-out.
 */
struct ghvm_room {
	uint64_t available;
	uint64_t limit;
	uint64_t left;
	uint64_t max;
	char cgroup[NAME_MAX + 1];
	const char *directive;
};

/* Read the figures for this process. */
void ghvm_room_read(const struct ghvm_room_sources *from, struct ghvm_room *ret);

/* Call @fn for the directory of each cgroup of this process, except the root. */
void ghvm_room_each_cgroup(const struct ghvm_room_sources *from,
			   void (*fn)(const char *dir, void *data), void *data);

/* Read a file with one number; "max" is UINT64_MAX. False: not a number; @ret may have changed. */
bool ghvm_room_number(const char *dir, const char *file, uint64_t *ret);

/**
 * struct ghvm_room_words - words for the error message
 * @subject: what takes memory; @remedy: advice besides raising the limit
 */
struct ghvm_room_words {
	const char *subject;
	const char *remedy;
};

/**
 * ghvm_room_check() - check for @bytes of ordinary memory
 * Return: 0; -ENOSPC not now; -EDQUOT never under this limit. @err names the figures.
 */
int ghvm_room_check(const struct ghvm_room *room, uint64_t bytes,
		    const struct ghvm_room_words *words, struct ghvm_error *err);
