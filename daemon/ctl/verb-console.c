/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console: bytes between our terminal and the guest's, by a socket from the manager.
 *
 * The terminal is raw meanwhile, so only Ctrl-] is ours; when input is no terminal, its end
 * is ours, and what the guest says in the next moment is still shown. A guest that reboots in
 * place keeps its console; where the whole unit starts again, the new one is waited for. While
 * we wait for one, the terminal is as it was before.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/terminal.h"
#include "daemon/ctl/unit.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/name.h"
#include "libghvm/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LEAVE 0x1d /* Ctrl-] */
#define LINGER_MS 500
#define STUCK_MS 10000 /* for a guest to take more of an input that is no terminal */
#define RETRY_MS 200
#define SAY_AFTER_MS 1000
#define RECONNECT_MS 60000 /* a unit starts within three minutes, but somebody is watching */

/**
 * struct buffer - on its way
 */
struct buffer {
	char bytes[4096];
	size_t n;
	size_t done;
};

/**
 * struct console - one call
 * @fd: the guest's end, owned; @force: whoever has it is sent away
 * @input: to the guest; @output: of it
 * @ended: input has ended
 */
struct console {
	const struct ctl *ctl;
	const char *name;
	int fd;
	bool force;
	struct terminal terminal;
	struct buffer input;
	struct buffer output;
	bool ended;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- to the manager ---- */

static int ask(struct console *c, sd_bus *bus, const char *path, struct ghvm_error *err)
{
	const struct call call = client_verb(path, CLIENT_MANAGER ".VM", "OpenConsole");
	sd_bus_message *reply = NULL;
	const char *none;
	int r, fd;

	r = client_call(bus, &call, &reply, err, c->name, "a{sv}", 2, "force", "b", c->force,
			"read-only", "b", c->ctl->readonly);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "hs", &fd, &none);
	if (r >= 0) {
		c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message's own is closed with it */
		r = c->fd < 0 ? -errno : 0;
	}
	(void)sd_bus_message_unref(reply);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: %s", c->name, strerror(-r));
	c->force = false; /* once: who takes it from us later has it */
	return 0;
}

/* Return: 0; -EBUSY another has it; -ESRCH the VM does not run; another errno. */
static int open_console(struct console *c, struct ghvm_error *err)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *path = NULL;
	int r = client_open(&bus, err);

	if (r == 0)
		r = client_path(bus, c->name, &path, err);
	return r < 0 ? r : ask(c, bus, path, err);
}

/* False: its unit has ended, or there is none. */
static bool will_be_back(const char *name)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct unit_state unit;

	if (client_open(&bus, NULL) < 0)
		return false;
	unit_look(bus, name, &unit);
	return unit_is_busy(&unit);
}

/*
 * Until there is a console again. @err says why not. Return: 0; -ESRCH the VM has ended, and we
 * were not asked to wait; -EBUSY another has its console; another errno.
 */
static int reconnect(struct console *c, struct ghvm_error *err)
{
	uint64_t began = now_ms();
	bool said = false;
	int r;

	for (;;) {
		r = open_console(c, err);
		if (r == 0 || r == -EBUSY || r == -ENOENT)
			return r;
		if (!c->ctl->wait && (now_ms() - began > RECONNECT_MS || !will_be_back(c->name)))
			return -ESRCH;
		if (!said && now_ms() - began > SAY_AFTER_MS)
			fprintf(stderr, "%s; waiting for it, Ctrl-C leaves\n", err->msg);
		said |= now_ms() - began > SAY_AFTER_MS;
		(void)poll(NULL, 0, RETRY_MS); /* early is no harm */
	}
}

static int connect_first(struct console *c, struct ghvm_error *err)
{
	int r = open_console(c, err);

	if (r != -ESRCH || !c->ctl->wait)
		return r;
	fprintf(stderr, "%s; waiting for it to start, Ctrl-C leaves\n", err->msg);
	return reconnect(c, err);
}

/* ---- bytes ---- */

/* Return: 1 something came; 0 not now; -EPIPE the end. */
static int fill(struct buffer *b, int fd)
{
	ssize_t n = read(fd, b->bytes + b->n, sizeof(b->bytes) - b->n);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -EPIPE; /* EIO of a terminal that is no more, too */
	b->n += (size_t)n;
	return 1;
}

/* At most @chunk. Return: 1 something went; 0 not now; negative errno. */
static int drain(struct buffer *b, int fd, size_t chunk)
{
	size_t left = b->n - b->done;
	ssize_t n = write(fd, b->bytes + b->done, left < chunk ? left : chunk);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	b->done += (size_t)n;
	if (b->done == b->n)
		b->n = b->done = 0;
	return n > 0;
}

/* Keys. What the guest takes no more of is dropped, and rings: only so is Ctrl-] always read. */
static int on_keys(struct console *c)
{
	struct buffer keys = {};
	size_t room;
	char *leave;
	int r = fill(&keys, c->terminal.in);

	if (r <= 0)
		return r;
	leave = memchr(keys.bytes, LEAVE, keys.n);
	if (leave)
		keys.n = (size_t)(leave - keys.bytes);
	room = c->ctl->readonly ? 0 : sizeof(c->input.bytes) - c->input.n;
	if (keys.n > room && !c->ctl->readonly)
		fputc('\a', stderr);
	if (keys.n > room)
		keys.n = room;
	memcpy(c->input.bytes + c->input.n, keys.bytes, keys.n);
	c->input.n += keys.n;
	if (leave && c->input.n)
		(void)drain(&c->input, c->fd, sizeof(c->input.bytes)); /* typed before it */
	return leave ? -ECANCELED : 1;
}

/* Return: 0 go on; -ECANCELED leave. */
static int on_input(struct console *c)
{
	int r = c->terminal.tty ? on_keys(c) : fill(&c->input, c->terminal.in);

	if (r == -EPIPE && !c->terminal.tty) {
		c->ended = true;
		return 0;
	}
	return r == -EPIPE ? -ECANCELED : r < 0 ? r : 0;
}

static bool wants_input(const struct console *c)
{
	if (c->terminal.tty)
		return true;
	return !c->ended && !c->ctl->readonly && !c->input.n;
}

enum { WAIT_GUEST, WAIT_IN, WAIT_OUT, WAIT_SIGNALS, WAIT_COUNT };

static void what_to_poll(const struct console *c, struct pollfd p[WAIT_COUNT])
{
	p[WAIT_GUEST] = (struct pollfd){ .fd = c->fd };
	if (!c->output.n)
		p[WAIT_GUEST].events |= POLLIN;
	if (c->input.n)
		p[WAIT_GUEST].events |= POLLOUT;
	if (c->output.n && !c->input.n)
		p[WAIT_GUEST].fd = -1; /* its end is for when all that it said is shown */
	p[WAIT_IN] =
		(struct pollfd){ .fd = wants_input(c) ? c->terminal.in : -1, .events = POLLIN };
	p[WAIT_OUT] =
		(struct pollfd){ .fd = c->output.n ? c->terminal.out : -1, .events = POLLOUT };
	p[WAIT_SIGNALS] = (struct pollfd){ .fd = c->terminal.signals, .events = POLLIN };
}

/* Return: 0 go on; -ECANCELED leave; -EPIPE the guest's end has gone; another errno. */
static int handle(struct console *c, const struct pollfd p[WAIT_COUNT])
{
	int r = 0;

	if (p[WAIT_SIGNALS].revents && terminal_signal(&c->terminal))
		return -ECANCELED;
	if (p[WAIT_IN].revents)
		r = on_input(c);
	if (r == 0 && p[WAIT_OUT].revents &&
	    drain(&c->output, c->terminal.out, c->terminal.chunk) < 0)
		r = -ECANCELED; /* nobody looks any more */
	if (r == 0 && p[WAIT_GUEST].revents & POLLOUT &&
	    drain(&c->input, c->fd, sizeof(c->input.bytes)) < 0)
		c->input.n = c->input.done = 0; /* reading tells why */
	if (r == 0 && p[WAIT_GUEST].revents & ~POLLOUT && !c->output.n)
		r = fill(&c->output, c->fd);
	return r > 0 ? 0 : r;
}

/* For how long nothing may happen, in ms. Who looks at a terminal sees that nothing does. */
static int patience(const struct console *c)
{
	if (c->input.n && !c->terminal.tty)
		return STUCK_MS;
	return c->ended ? LINGER_MS : -1;
}

/* Return: 0 left; -EPIPE the guest's end has gone; -ETIMEDOUT it takes no input; another errno. */
static int talk(struct console *c)
{
	struct pollfd p[WAIT_COUNT];
	int r;

	for (;;) {
		what_to_poll(c, p);
		r = poll(p, WAIT_COUNT, patience(c));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0) /* input has ended, and the guest says no more */
			return c->input.n ? -ETIMEDOUT : 0;
		r = r < 0 ? 0 : handle(c, p);
		if (r < 0)
			return r == -ECANCELED ? 0 : r;
	}
}

static int talk_raw(struct console *c)
{
	int r = terminal_take(&c->terminal, c->ctl->readonly);

	if (r < 0)
		return r;
	if (c->terminal.tty)
		fprintf(stderr, "Connected to %s%s; Ctrl-] leaves\r\n", c->name,
			c->ctl->readonly ? ", to watch" : "");
	r = talk(c);
	terminal_restore(&c->terminal);
	return r;
}

/* ---- a guest that comes back ---- */

/* Return: enum ctl_status. */
static int over(const struct console *c, int r, const struct ghvm_error *err)
{
	if (c->terminal.tty)
		fputs("\nLeft the console\n", stderr);
	if (r == 0 || r == -EPIPE || r == -ESRCH)
		return CTL_OK; /* the guest has ended, or the user has */
	if (r == -EBUSY)
		return ctl_fail(CTL_FAILED, "%s: another has taken this console", c->name);
	if (r == -ETIMEDOUT)
		return ctl_fail(CTL_FAILED, "%s takes no input: %zu bytes are not typed", c->name,
				c->input.n - c->input.done);
	return ctl_fail(client_status(r), "%s", err->code ? err->msg : strerror(-r));
}

static int run(struct console *c)
{
	struct ghvm_error err = {};
	int r;

	for (;;) {
		(void)fcntl(c->fd, F_SETFL, O_NONBLOCK); /* cannot fail on a socket */
		r = talk_raw(c);
		if (r != -EPIPE || c->ended)
			break;
		closep(&c->fd);
		c->fd = -1;
		c->input.n = c->input.done = 0; /* it was for the one that is gone */
		r = reconnect(c, &err);
		if (r < 0)
			break;
	}
	return over(c, r, &err);
}

int verb_console(const struct ctl *ctl, char **args, int n)
{
	struct console c = { .ctl = ctl, .name = args[0], .fd = -1, .force = ctl->force };
	struct ghvm_error err = {};
	int r;

	r = ghvm_name_valid(c.name) ? connect_first(&c, &err)
				    : ghvm_spec_absent(c.name, ctl->dirs, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	r = terminal_open(&c.terminal);
	r = r < 0 ? ctl_fail(CTL_FAILED, "%s: %s", c.name, strerror(-r)) : run(&c);
	terminal_close(&c.terminal);
	closep(&c.fd);
	return r;
}
