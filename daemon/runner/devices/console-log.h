/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of a console: files of limited size, or lines of the unit's journal.
 *
 * The runner may open nothing, so it cannot rename or make files, and a guest that has broken
 * into it cannot either. It has a descriptor for each file instead, and rotates by moving
 * contents: all of NAME.log goes into NAME.log.1 and NAME.log begins anew. That costs a copy of
 * each file in a rotation, and needs neither a folder that the runner may write to nor a manager
 * that is alive. What the disk has no room for is lost, and said to be; it is tried again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghvm/spec.h"

#define CONSOLE_LOG_RETRY_MS 1000
#define CONSOLE_LOG_LINE 1024 /* longer ones are several entries of the journal */

/**
 * struct console_log - one log; zeroed: there is none
 * @fds: owned; [0] is appended to, the others are older, -1 from @n on
 * @size: at most, of each; @at: of the one that is written; 0: not files that can be rotated
 * @journal: where lines go instead, borrowed, -1: nowhere
 * @retry_ms: between two tries; @retry_at: ms, when to try again; 0: nothing is wrong
 * @said_at: when trouble was last told of, since a guest could make it come and go
 * @told: of the trouble that is
 * @lost: bytes that the log does not have
 * @line: of the journal, @line_done of it written, of @line_n; @line_whole: it can be
 *
 * Thread: main.
 */
struct console_log {
	int fds[GHVM_SPEC_LOGS_MAX];
	size_t n;
	bool regular;
	uint64_t size;
	uint64_t at;
	int journal;
	unsigned int retry_ms;
	uint64_t retry_at;
	uint64_t said_at;
	bool told;
	uint64_t lost;
	char line[CONSOLE_LOG_LINE];
	size_t line_n;
	size_t line_done;
	bool line_whole;
};

/**
 * console_log_init() - of files, or of a journal
 * @fds: taken over, -1 behind the last; @journal: borrowed, or -1
 */
void console_log_init(struct console_log *l, int fds[GHVM_SPEC_LOGS_MAX], uint64_t size,
		      int journal);

/* Writes the rest of a line, and closes. */
void console_log_done(struct console_log *l);

bool console_log_wanted(const struct console_log *l);

/* Return: bytes of @buf that were taken; 0: none, console_log_timeout() says when to try again. */
size_t console_log_write(struct console_log *l, const uint8_t *buf, size_t n);

/* So much came and went unwritten; the log will say so. */
void console_log_lose(struct console_log *l, uint64_t n);

/* For how long to wait before the next try, in ms; -1: nothing is wrong. */
int console_log_timeout(const struct console_log *l);

/* Try at once. */
void console_log_hurry(struct console_log *l);
