/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the UART's bytes go: to clients and to the log, and from one of the clients back.
 *
 * A client is a pair of sockets of its own. One at a time may type; others watch, and each gets
 * all that the guest says, however slow the rest are. Nobody may be there: the last 64 KiB that
 * were not shown to one that types wait here for the next client. The guest never waits; who
 * reads too slowly is told how much is lost. The log is written from the same buffer.
 */
#pragma once

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/devices/console-log.h"

#define CONSOLE_BUFFER_SIZE 65536
#define CONSOLE_TYPED_SIZE 4096
#define CONSOLE_CLIENTS_MAX 8 /* one that types, the others watch */
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
 * struct console_client - one that is connected; [0] is the one that types
 * @fd: our end, owned, non-blocking; -1: nobody
 * @input_over: it types no more, and may still read
 * @shown: bytes of all that were sent to it, or skipped
 * @lost: of these, skipped and not said yet
 * @nth: the later it came, the larger
 */
struct console_client {
	int fd;
	bool input_over;
	uint64_t shown;
	uint64_t lost;
	uint64_t nth;
};

/**
 * struct console - one console
 * @ops: borrowed, static; @data: passed to them
 * @lingering: look again after CONSOLE_LINGER_MS
 * @seen: @written at the last look
 * @wake: eventfd, owned: there is something to do
 * @n_clients: that ever came
 * @typed: what the guest has no room for yet, @n_typed bytes
 * @ring: what the guest wrote, byte i of all at i modulo its size
 * @written: bytes ever written by the guest
 * @shown, @logged: of these, sent to one that types and to @log (or given up)
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
	pthread_mutex_t lock;
	bool kicked;
	uint64_t written;
	uint8_t ring[CONSOLE_BUFFER_SIZE];
};

/**
 * console_init() - without clients
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
 * console_attach() - the end of a new client
 * @read_only: it watches
 * @force: whoever types is sent away; of watchers, if there are too many, the oldest
 *
 * Return: a socket for the caller to pass on and close; -EBUSY; another errno.
 */
int console_attach(struct console *c, bool read_only, bool force);

#define CONSOLE_POLLFDS (1 + CONSOLE_CLIENTS_MAX)

/**
 * console_poll() - what to wait for
 * @ret: set, all of it
 */
void console_poll(struct console *c, struct pollfd ret[CONSOLE_POLLFDS]);

/* For how long, in ms; -1: for ever. */
int console_timeout(const struct console *c);

/*
 * Move what can be moved, in all directions, after any of console_poll()'s fired or the
 * time was over.
 */
void console_process(struct console *c);
