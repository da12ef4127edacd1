/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pty, the log, and the ring between them and the guest.
 */
#include "daemon/runner/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "libghvm/cleanup.h"

#define CHUNK 4096

static int make_raw(int master)
{
	struct termios t;

	/* On Linux the master's attributes are those of the other end. */
	if (tcgetattr(master, &t) < 0)
		return -errno;
	cfmakeraw(&t);
	return tcsetattr(master, TCSANOW, &t) < 0 ? -errno : 0;
}

static int open_pty(struct console *c)
{
	int r;

	c->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (c->master < 0)
		return -errno;
	r = ptsname_r(c->master, c->path, sizeof(c->path));
	if (r)
		return -r;
	if (unlockpt(c->master) < 0)
		return -errno;
	return make_raw(c->master);
}

/* Without it only readers that came by console_attach() are noticed. */
static void watch_path(struct console *c)
{
	c->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (c->watch >= 0 && inotify_add_watch(c->watch, c->path, IN_OPEN) < 0) {
		(void)close(c->watch); /* nothing was written to it */
		c->watch = -1;
	}
}

uint64_t console_written(const struct console *c)
{
	struct console *w = (struct console *)c; /* the lock only */
	uint64_t written;

	(void)pthread_mutex_lock(&w->lock); /* cannot fail */
	written = c->written;
	(void)pthread_mutex_unlock(&w->lock);
	return written;
}

int console_init(struct console *c, const struct console_ops *ops, void *data,
		 struct console_log *log)
{
	int r;

	*c = (struct console){
		.ops = ops,
		.data = data,
		.master = -1,
		.watch = -1,
		.log = *log,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	*log = (struct console_log){ .journal = -1 };
	c->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = c->wake < 0 ? -errno : open_pty(c);
	if (r < 0) {
		console_done(c);
		return r;
	}
	watch_path(c);
	return 0;
}

static void lock(struct console *c)
{
	pthread_mutex_lock(&c->lock);
}

static void unlock(struct console *c)
{
	pthread_mutex_unlock(&c->lock);
}

static void signal_wake(struct console *c)
{
	uint64_t one = 1;

	if (write(c->wake, &one, sizeof(one)) < 0)
		return; /* full: it is signalled already */
}

void console_put(struct console *c, uint8_t byte)
{
	bool kick;

	lock(c);
	c->ring[c->written % CONSOLE_BUFFER_SIZE] = byte;
	c->written++;
	kick = !c->kicked;
	c->kicked = true;
	unlock(c);
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
		return; /* something else woke us */
}

/*
 * A guest that writes will write more: rather than be woken for each byte, look again a
 * little later, and only when there was nothing for that long ask to be woken.
 */
static void linger(struct console *c)
{
	lock(c);
	c->lingering = c->written != c->seen;
	c->kicked = c->lingering;
	c->seen = c->written;
	unlock(c);
}

/*
 * Copy what comes after @cursor, at most @cap bytes. What the ring has overwritten is
 * skipped and counted in *skipped.
 */
static size_t peek(struct console *c, uint64_t *cursor, uint8_t *buf, size_t cap, uint64_t *skipped)
{
	uint64_t oldest, n;

	lock(c);
	oldest = c->written > CONSOLE_BUFFER_SIZE ? c->written - CONSOLE_BUFFER_SIZE : 0;
	*skipped = *cursor < oldest ? oldest - *cursor : 0;
	*cursor += *skipped;
	n = c->written - *cursor;
	if (n > cap)
		n = cap;
	for (size_t i = 0; i < n; i++)
		buf[i] = c->ring[(*cursor + i) % CONSOLE_BUFFER_SIZE];
	unlock(c);
	return n;
}

static bool has_more(struct console *c, uint64_t cursor)
{
	bool more;

	lock(c);
	more = c->written != cursor;
	unlock(c);
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

static void write_master(struct console *c)
{
	uint8_t buf[CHUNK];
	uint64_t skipped;
	ssize_t w;
	size_t n;

	while (c->attached) {
		n = peek(c, &c->shown, buf, sizeof(buf), &skipped);
		if (!n)
			return;
		w = write(c->master, buf, n);
		if (w <= 0)
			return;
		c->shown += (uint64_t)w;
	}
}

static void read_master(struct console *c)
{
	uint8_t buf[256];
	size_t room;
	ssize_t n;

	/* Also when the reader has gone: what it left is read until the end. */
	for (;;) {
		room = c->ops->room(c->data);
		if (!room)
			return;
		n = read(c->master, buf, room < sizeof(buf) ? room : sizeof(buf));
		if (n <= 0)
			return;
		(void)c->ops->receive(c->data, buf,
				      (size_t)n); /* there was room, and we are alone */
	}
}

/* Somebody opened the other end by its path. */
static void read_watch(struct console *c)
{
	char buf[sizeof(struct inotify_event) + 256];

	while (c->watch >= 0 && read(c->watch, buf, sizeof(buf)) > 0)
		c->attached = true;
}

/*
 * The last reader has gone: everything from now on is for the next one. What it typed between
 * our read and its end is here by now, and nobody would wake us for it.
 */
static void check_hangup(struct console *c)
{
	struct pollfd p = { .fd = c->master };

	if (!c->attached || poll(&p, 1, 0) <= 0 || !(p.revents & POLLHUP))
		return;
	c->attached = false;
	read_master(c);
}

int console_attach(struct console *c)
{
	int fd = ioctl(c->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	c->attached = true;
	(void)make_raw(c->master); /* the last reader may have changed it */
	signal_wake(c);
	return fd;
}

void console_poll(struct console *c, struct pollfd ret[CONSOLE_POLLFDS])
{
	short events = 0;

	ret[0] = (struct pollfd){ .fd = c->wake, .events = POLLIN };
	ret[1] = (struct pollfd){ .fd = c->watch, .events = POLLIN };
	ret[2] = (struct pollfd){ .fd = -1 };
	if (!c->attached)
		return;
	events |= c->ops->room(c->data) ? POLLIN : 0;
	events |= has_more(c, c->shown) ? POLLOUT : 0;
	ret[2] = (struct pollfd){ .fd = c->master, .events = events };
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
	read_watch(c);
	write_log(c);
	read_master(c);
	check_hangup(c);
	write_master(c);
	linger(c);
}

void console_done(struct console *c)
{
	if (!c->ops)
		return;
	console_log_hurry(&c->log);
	write_log(c);
	write_master(c);
	console_log_done(&c->log);
	closep(&c->master);
	closep(&c->watch);
	closep(&c->wake);
	(void)pthread_mutex_destroy(&c->lock); /* the guest's threads are joined */
	*c = (struct console){};
}
