/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of a console: files of limited size, or lines of the unit's journal.
 *
 * The runner, and a guest that has taken it over, cannot open, create or rename files. The runner has a file
 * descriptor for each log file and rotates by copying contents: those of NAME.log to NAME.log.1, and so on.
 * That costs a copy of each file, and needs neither a writable folder nor a running manager (decision 40). If the disk is
 * full, output is lost, the log says how much, and writing is retried.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghvm/spec.h"

#define CONSOLE_LOG_RETRY_MS 1000
#define CONSOLE_LOG_LINE 1024 /* longer lines become several entries of the journal */

/**
 * struct console_log - a log; zeroed: none
 * @fds: owned; [0] is appended to, the others are older; -1 from @n on
 * @size: maximum size of each file; 0: the files cannot be rotated
 * @at: size of the current file
 * @journal: stream for lines, borrowed; -1: none
 * @retry_ms: between two tries; @retry_at: ms, when to retry after an error; 0: no error
 * @said_at: when an error was last logged
 * @told: the current error was logged
 * @lost: bytes missing in the log
 * @line: for the journal: @line_n bytes, of which @line_done are written; @line_whole: it is complete
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
 * console_log_init() - begin a log in files or in the journal
 * @fds: taken over, -1 after the last; @journal: borrowed, or -1
 */
void console_log_init(struct console_log *l, int fds[GHVM_SPEC_LOGS_MAX], uint64_t size,
		      int journal);

/* Write the rest of a line and close the files. */
void console_log_done(struct console_log *l);

bool console_log_wanted(const struct console_log *l);

/* Return: number of bytes of @buf that were accepted; 0: retry after console_log_timeout(). */
size_t console_log_write(struct console_log *l, const uint8_t *buf, size_t n);

/* Note that @n bytes are lost; the log will say so. */
void console_log_lose(struct console_log *l, uint64_t n);

/* Time until the next retry, in ms; -1: no error. */
int console_log_timeout(const struct console_log *l);

/* Retry now. */
void console_log_hurry(struct console_log *l);
