/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console: output of the UART goes to clients and to the log, input comes from one client.
 *
 * Each client has a socket pair. One client at a time may type, others watch. Each client gets all output,
 * however slow other clients are. Output that no typing client has received is kept, up to 64 KiB, for the
 * next client. The guest never waits: a client that reads too slowly is told how many bytes were lost. The
 * log is written from the same buffer.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/base/brief-lock.h"
#include "daemon/runner/base/console-log.h"

#define CONSOLE_BUFFER_SIZE 65536
#define CONSOLE_TYPED_SIZE 4096
#define CONSOLE_CLIENTS_MAX 8 /* one types, the others watch */
#define CONSOLE_LINGER_MS 10

/**
 * struct console_ops - the device that gets the input
 * @room: number of bytes that fit
 * @receive: take bytes
 */
struct console_ops {
	size_t (*room)(void *data);
	size_t (*receive)(void *data, const uint8_t *buf, size_t n);
};

/**
 * struct console_client - a client; [0] is the client that types
 * @fd: the runner's end of the socket pair, owned, non-blocking; -1: no client
 * @input_over: the client has ended its input, and may still read
 * @shown: bytes of the output that were sent or skipped
 * @lost: skipped bytes that the client has not been told of
 * @nth: serial number; later clients have larger numbers
 */
struct console_client {
	int fd;
	bool input_over;
	uint64_t shown;
	uint64_t lost;
	uint64_t nth;
};

/**
 * struct console - a console
 * @ops: borrowed, static; @data: passed to @ops
 * @lingering: check again after CONSOLE_LINGER_MS
 * @seen: @written at the last check
 * @wake: eventfd, owned: there is something to do
 * @n_clients: number of clients so far
 * @typed: @n_typed bytes of input that the guest cannot take yet
 * @left: socket of the last typing client that has gone, with input that did not fit into @typed; -1: none
 * @ring: output of the guest; byte i is at i modulo the size
 * @written: number of bytes written by the guest so far
 * @shown, @logged: number of those sent to a typing client and to @log, or dropped
 *
 * Thread: main; console_put() and console_kick() from any. @lock guards @ring, @written,
 * and @kicked.
 */
struct console {
	const struct console_ops *ops;
	void *data;
	int wake;
	bool lingering;
	uint64_t seen;
	uint64_t shown;
	uint64_t logged;
	struct console_log log;
	struct console_client clients[CONSOLE_CLIENTS_MAX];
	uint64_t n_clients;
	uint8_t typed[CONSOLE_TYPED_SIZE];
	size_t n_typed;
	int left;
	struct brief_lock lock;
	bool kicked;
	uint64_t written;
	uint8_t ring[CONSOLE_BUFFER_SIZE];
};

/**
 * console_init() - create a console without clients
 * @log: taken over and zeroed, also on failure
 *
 * Return: 0 or a negative errno.
 */
int console_init(struct console *c, const struct console_ops *ops, void *data,
		 struct console_log *log);

/* Write the remaining output to the log, and close everything. Accepts a zeroed console. */
void console_done(struct console *c);

/* Number of bytes the guest has written so far. */
uint64_t console_written(const struct console *c);

/* The guest wrote a byte. Thread: any. */
void console_put(struct console *c, uint8_t byte);

/* console_process() has something to do. Thread: any. */
void console_kick(struct console *c);

/**
 * console_attach() - add a client
 * @read_only: the client watches
 * @force: disconnect the client that types; or the oldest watcher, if there are too many
 *
 * Return: a socket for the caller to pass on and close; -EBUSY; another errno.
 */
int console_attach(struct console *c, bool read_only, bool force);

#define CONSOLE_POLLFDS (1 + CONSOLE_CLIENTS_MAX)

/**
 * console_poll() - events to wait for
 * @ret: all entries are set
 */
void console_poll(struct console *c, struct pollfd ret[CONSOLE_POLLFDS]);

/* Time limit for poll() in ms; -1: none. */
int console_timeout(const struct console *c);

/*
 * Move data in all directions. Call it after an event of console_poll() or the timeout.
 */
void console_process(struct console *c);
