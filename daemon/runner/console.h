/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the UART's bytes go: a pty for people and a log file, and from the pty back.
 *
 * Nobody may be there to read. The pty's master is therefore written only while its other
 * end is open, and the last 64 KiB wait here for the next reader; the guest never waits.
 * The log is written from the same buffer by the main thread, since a disk may stall.
 */
#pragma once

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/console-log.h"

#define CONSOLE_BUFFER_SIZE 65536
#define CONSOLE_PATH_SIZE 64
#define CONSOLE_LINGER_MS 10

/**
 * struct console_ops - who takes what people type
 * @room: how many bytes fit
 * @receive: take them
 */
struct console_ops {
	size_t (*room)(void *data);
	size_t (*receive)(void *data, const uint8_t *buf, size_t n);
};

/**
 * struct console - one console
 * @ops: borrowed, static; @data: passed to them
 * @master: of the pty, owned, non-blocking; @path: of its other end
 * @watch: inotify on @path, owned: tells of readers that open it by name
 * @lingering: look again after CONSOLE_LINGER_MS
 * @seen: @written at the last look
 * @wake: eventfd, owned: there is something to do
 * @attached: the other end is open, as far as we know
 * @ring: what the guest wrote, byte i of all at i modulo its size
 * @written: bytes ever written by the guest
 * @shown, @logged: of these, sent to the pty and to @log (or given up)
 *
 * Thread: main; console_put() and console_kick() from any. @lock guards @ring, @written,
 * and @kicked.
 */
struct console {
	const struct console_ops *ops;
	void *data;
	int master;
	char path[CONSOLE_PATH_SIZE];
	int watch;
	int wake;
	bool attached;
	bool lingering;
	uint64_t seen;
	uint64_t shown;
	uint64_t logged;
	struct console_log log;
	pthread_mutex_t lock;
	bool kicked;
	uint64_t written;
	uint8_t ring[CONSOLE_BUFFER_SIZE];
};

/**
 * console_init() - make the pty
 * @log: taken over, zero is left
 *
 * Return: 0 or a negative errno; @log is closed then, too.
 */
int console_init(struct console *c, const struct console_ops *ops, void *data,
		 struct console_log *log);

/* Writes what is left to the log and closes everything. Accepts a zeroed console. */
void console_done(struct console *c);

/* How many bytes the guest has written, ever. */
uint64_t console_written(const struct console *c);

/* The guest wrote a byte. Thread: any. */
void console_put(struct console *c, uint8_t byte);

/* console_process() has something to do. Thread: any. */
void console_kick(struct console *c);

/**
 * console_attach() - the other end, for a reader
 *
 * Return: a descriptor for the caller to pass on and close; negative errno.
 */
int console_attach(struct console *c);

#define CONSOLE_POLLFDS 3

/**
 * console_poll() - what to wait for
 * @ret: set to three entries
 */
void console_poll(struct console *c, struct pollfd ret[CONSOLE_POLLFDS]);

/* For how long, in ms; -1: for ever. */
int console_timeout(const struct console *c);

/*
 * Move what can be moved, in all directions, after any of console_poll()'s fired or the
 * time was over.
 */
void console_process(struct console *c);
