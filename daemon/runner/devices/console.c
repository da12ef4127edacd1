/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients and log of a console, and the ring buffer of the guest's output.
 */
#include "daemon/runner/devices/console.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"

#define CHUNK 4096

uint64_t console_written(const struct console *c)
{
	struct console *w = (struct console *)c; /* the lock only */
	uint64_t written;

	brief_lock(&w->lock);
	written = c->written;
	brief_unlock(&w->lock);
	return written;
}

int console_init(struct console *c, const struct console_ops *ops, void *data,
		 struct console_log *log)
{
	int r = 0;

	*c = (struct console){
		.ops = ops,
		.data = data,
		.log = *log,
		.left = -1,
	};
	*log = (struct console_log){ .journal = -1 };
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	c->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (c->wake < 0) {
		r = -errno;
		console_done(c);
	}
	return r;
}

static void signal_wake(struct console *c)
{
	uint64_t one = 1;

	if (write(c->wake, &one, sizeof(one)) < 0)
		return; /* a full eventfd is readable, too */
}

void console_put(struct console *c, uint8_t byte)
{
	bool kick;

	brief_lock(&c->lock);
	c->ring[c->written % CONSOLE_BUFFER_SIZE] = byte;
	c->written++;
	kick = !c->kicked;
	c->kicked = true;
	brief_unlock(&c->lock);
	if (kick)
		signal_wake(c);
}

void console_kick(struct console *c)
{
	signal_wake(c);
}

static void clear_wake(struct console *c)
{
	uint64_t count;

	if (read(c->wake, &count, sizeof(count)) < 0)
		return; /* spurious wake-up */
}

/*
 * Output usually continues: instead of being woken for each byte, check again after a short time. Request
 * a wake-up only if there was no output in that time.
 */
static void linger(struct console *c)
{
	brief_lock(&c->lock);
	c->lingering = c->written != c->seen;
	c->kicked = c->lingering;
	c->seen = c->written;
	brief_unlock(&c->lock);
}

/* Advance @cursor to the oldest byte in the ring. Return: number of skipped bytes. @lock is held. */
static uint64_t skip_overwritten(const struct console *c, uint64_t *cursor)
{
	uint64_t oldest = c->written > CONSOLE_BUFFER_SIZE ? c->written - CONSOLE_BUFFER_SIZE : 0;
	uint64_t skipped = *cursor < oldest ? oldest - *cursor : 0;

	*cursor += skipped;
	return skipped;
}

/*
 * Copy output after @cursor, at most @cap bytes. Overwritten bytes are skipped and counted in *skipped.
 */
static size_t peek(struct console *c, uint64_t *cursor, uint8_t *buf, size_t cap, uint64_t *skipped)
{
	uint64_t n;

	brief_lock(&c->lock);
	*skipped = skip_overwritten(c, cursor);
	n = c->written - *cursor;
	if (n > cap)
		n = cap;
	for (size_t i = 0; i < n; i++)
		buf[i] = c->ring[(*cursor + i) % CONSOLE_BUFFER_SIZE];
	brief_unlock(&c->lock);
	return n;
}

static bool has_more(struct console *c, uint64_t cursor)
{
	bool more;

	brief_lock(&c->lock);
	more = c->written != cursor;
	brief_unlock(&c->lock);
	return more;
}

static void write_log(struct console *c)
{
	uint8_t buf[CHUNK];
	uint64_t skipped;
	size_t n, w;

	while (console_log_wanted(&c->log)) {
		n = peek(c, &c->logged, buf, sizeof(buf), &skipped);
		console_log_lose(&c->log, skipped);
		w = n ? console_log_write(&c->log, buf, n) : 0;
		if (!w)
			return;
		c->logged += w;
	}
}

/* ---- clients ---- */

static void detach(struct console_client *k)
{
	closep(&k->fd);
	k->fd = -1;
}

/* Pass typed bytes to the guest. If it cannot take all, its device wakes the console later. */
static void feed_guest(struct console *c)
{
	size_t room, n;

	while (c->n_typed && (room = c->ops->room(c->data)) > 0) {
		n = c->n_typed < room ? c->n_typed : room;
		(void)c->ops->receive(c->data, c->typed, n); /* room() was checked */
		c->n_typed -= n;
		memmove(c->typed, c->typed + n, c->n_typed);
	}
}

/* What an earlier client has typed comes first. */
static bool wants_input(const struct console *c)
{
	return c->left < 0 && !c->clients[0].input_over && c->n_typed < sizeof(c->typed);
}

static void drop_left(struct console *c)
{
	closep(&c->left);
	c->left = -1;
}

/* Read input of @fd as far as there is room. Return: 0 no more at present; 1 it has ended; -errno of recv(). */
static int read_from(struct console *c, int fd)
{
	ssize_t n;

	while (c->n_typed < sizeof(c->typed)) {
		n = recv(fd, c->typed + c->n_typed, sizeof(c->typed) - c->n_typed, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 ? -errno : 1;
		c->n_typed += (size_t)n;
		feed_guest(c);
	}
	return 0;
}

static void read_typed(struct console *c)
{
	struct console_client *k = &c->clients[0];

	feed_guest(c);
	if (c->left >= 0 && read_from(c, c->left) != 0)
		drop_left(c);
	if (k->fd >= 0 && wants_input(c))
		k->input_over = read_from(c, k->fd) == 1;
}

/*
 * Input that does not fit stays in the socket until the guest takes it. Of two clients with such input it is
 * that of the later one: else clients of a guest that reads nothing could use up this process.
 */
static void keep_input(struct console *c, struct console_client *k)
{
	char byte;

	if (k->fd < 0 || recv(k->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
		return;
	(void)shutdown(
		k->fd,
		SHUT_RDWR); /* nothing is added; to a client that is replaced it is the end */
	drop_left(c);
	c->left = TAKE_FD(k->fd);
}

/* The client has gone, or is replaced: what it typed before still counts. */
static void hang_up(struct console *c, struct console_client *k)
{
	if (k == &c->clients[0]) {
		read_typed(c);
		keep_input(c, k);
	}
	detach(k);
}

/* Tell the client how many bytes were skipped. Return: true: done. */
static bool say_lost(struct console_client *k)
{
	char text[64];
	int n;

	if (!k->lost)
		return true;
	n = snprintf(text, sizeof(text), "\r\n[%llu bytes lost]\r\n", (unsigned long long)k->lost);
	if (send(k->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return false;
	k->lost = 0;
	return true;
}

static void write_client(struct console *c, struct console_client *k)
{
	uint8_t buf[CHUNK];
	uint64_t skipped;
	ssize_t w;
	size_t n;

	while (k->fd >= 0) {
		n = peek(c, &k->shown, buf, sizeof(buf), &skipped);
		k->lost += skipped;
		if (!n || !say_lost(k))
			return;
		w = send(k->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (w < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
			hang_up(c, k);
		if (w <= 0)
			return;
		k->shown += (uint64_t)w;
	}
}

static void write_clients(struct console *c)
{
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		write_client(c, &c->clients[i]);
	if (c->clients[0].fd >= 0)
		c->shown = c->clients[0].shown;
}

/* Remove clients that have disconnected. */
static void check_hangups(struct console *c)
{
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		struct console_client *k = &c->clients[i];
		struct pollfd p = { .fd = k->fd };

		if (k->fd >= 0 && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR))
			hang_up(c, k);
	}
}

/* Return: the place for a new client; NULL: none. */
static struct console_client *find_place(struct console *c, bool read_only, bool force)
{
	struct console_client *oldest = NULL;

	check_hangups(c);
	if (!read_only)
		return c->clients[0].fd < 0 || force ? &c->clients[0] : NULL;
	for (size_t i = 1; i < CONSOLE_CLIENTS_MAX; i++) {
		if (c->clients[i].fd < 0)
			return &c->clients[i];
		if (!oldest || c->clients[i].nth < oldest->nth)
			oldest = &c->clients[i];
	}
	return force ? oldest : NULL;
}

int console_attach(struct console *c, bool read_only, bool force)
{
	struct console_client *k = find_place(c, read_only, force);
	int pair[2];

	if (!k)
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (read_only)
		(void)shutdown(pair[0], SHUT_RD); /* writes of a watcher fail */
	hang_up(c, k);
	*k = (struct console_client){ .fd = pair[0], .nth = ++c->n_clients };
	k->shown = c->shown;
	brief_lock(&c->lock);
	(void)skip_overwritten(c, &k->shown); /* not reported as lost to a new client */
	brief_unlock(&c->lock);
	signal_wake(c);
	return pair[1];
}

void console_poll(struct console *c, struct pollfd ret[CONSOLE_POLLFDS])
{
	ret[0] = (struct pollfd){ .fd = c->wake, .events = POLLIN };
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		const struct console_client *k = &c->clients[i];

		ret[1 + i] = (struct pollfd){ .fd = k->fd };
		if (i == 0 && wants_input(c))
			ret[1 + i].events |= POLLIN;
		if (k->fd >= 0 && has_more(c, k->shown))
			ret[1 + i].events |= POLLOUT;
	}
}

int console_timeout(const struct console *c)
{
	int log = console_log_timeout(&c->log);

	if (!c->lingering)
		return log;
	return log >= 0 && log < CONSOLE_LINGER_MS ? log : CONSOLE_LINGER_MS;
}

void console_process(struct console *c)
{
	clear_wake(c);
	write_log(c);
	read_typed(c);
	check_hangups(c);
	write_clients(c);
	linger(c);
}

void console_done(struct console *c)
{
	if (!c->ops)
		return;
	console_log_hurry(&c->log);
	write_log(c);
	write_clients(c);
	console_log_done(&c->log);
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		detach(&c->clients[i]);
	drop_left(c);
	closep(&c->wake);
	*c = (struct console){};
}
