/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console: connect standard input and output to the guest's console, by a socket from the manager.
 *
 * The terminal is in raw mode, and Ctrl-] disconnects. If standard input is not a terminal, its end
 * disconnects, LINGER_MS after the last output of the guest. A guest that reboots in place keeps its
 * console. If the whole unit restarts, ghvmctl reconnects; until then the terminal is restored.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/output/terminal.h"
#include "daemon/ctl/client/unit.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"

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
#define STUCK_MS 10000 /* for the guest to read more input that does not come from a terminal */
#define RETRY_MS 200
#define SAY_AFTER_MS 1000
#define RECONNECT_MS 60000 /* a unit may take three minutes, but the user is waiting */

/**
 * struct buffer - bytes in transit: @n were read, @done of them have been written
 */
struct buffer {
	char bytes[4096];
	size_t n;
	size_t done;
};

/**
 * struct console - state of the verb
 * @fd: socket to the guest's console, owned
 * @force: disconnect the current client
 * @input: from the user to the guest; @output: from the guest to the user
 * @ended: standard input has ended
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

/* ---- connection ---- */

static int call_open_console(struct console *c, sd_bus *bus, const char *path,
			     struct ghvm_error *err)
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
		c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* fd belongs to the message */
		r = c->fd < 0 ? -errno : 0;
	}
	(void)sd_bus_message_unref(reply);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: %s", c->name, strerror(-r));
	c->force = false; /* a reconnect must not disconnect a later client */
	return 0;
}

/* Return: 0; -EBUSY in use by another client; -ESRCH the VM does not run; another errno. */
static int open_console(struct console *c, struct ghvm_error *err)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *path = NULL;
	int r = client_open(&bus, err);

	if (r == 0)
		r = client_path(bus, c->name, &path, err);
	return r < 0 ? r : call_open_console(c, bus, path, err);
}

static bool unit_lives(const char *name)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct unit_state unit;

	if (client_open(&bus, NULL) < 0)
		return false;
	unit_look(bus, name, &unit);
	return unit_is_busy(&unit);
}

/*
 * Try until the console can be opened. Return: 0; -ESRCH the VM has ended, and there is no --wait;
 * -EBUSY in use by another client; another errno. @err has the last error.
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
		if (!c->ctl->wait && (now_ms() - began > RECONNECT_MS || !unit_lives(c->name)))
			return -ESRCH;
		if (!said && now_ms() - began > SAY_AFTER_MS)
			fprintf(stderr, "%s; waiting for the console, Ctrl-C quits\n", err->msg);
		said |= now_ms() - began > SAY_AFTER_MS;
		(void)poll(NULL, 0, RETRY_MS); /* an early return is harmless */
	}
}

static int connect_first(struct console *c, struct ghvm_error *err)
{
	struct ghvm_error why = {};
	int r = open_console(c, &why);

	if (r == -ESRCH && c->ctl->wait) {
		fprintf(stderr, "%s; waiting for it to start, Ctrl-C quits\n", why.msg);
		return reconnect(c, err);
	}
	if (r == -ESRCH)
		return ghvm_error_set(err, r, "%s; start it, or wait for it with --wait", why.msg);
	*err = why;
	return r;
}

/* ---- data ---- */

/* Return: 1 bytes were read; 0 none available; -EPIPE end of input. */
static int fill_buffer(struct buffer *b, int fd)
{
	ssize_t n = read(fd, b->bytes + b->n, sizeof(b->bytes) - b->n);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -EPIPE; /* also EIO of a terminal that has gone */
	b->n += (size_t)n;
	return 1;
}

/* Write at most @chunk bytes. Return: 1 bytes were written; 0 not possible now; negative errno. */
static int drain_buffer(struct buffer *b, int fd, size_t chunk)
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

/* Keys are always read, so that Ctrl-] works; keys for which there is no room are dropped with a beep. */
static int on_keys(struct console *c)
{
	struct buffer keys = {};
	size_t room;
	char *leave;
	int r = fill_buffer(&keys, c->terminal.in);

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
		(void)drain_buffer(&c->input, c->fd, sizeof(c->input.bytes)); /* keys before it */
	return leave ? -ECANCELED : 1;
}

/* Return: 0 continue; -ECANCELED disconnect. */
static int on_input(struct console *c)
{
	int r = c->terminal.tty ? on_keys(c) : fill_buffer(&c->input, c->terminal.in);

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
		p[WAIT_GUEST].fd = -1; /* notice the end only after all output is shown */
	p[WAIT_IN] =
		(struct pollfd){ .fd = wants_input(c) ? c->terminal.in : -1, .events = POLLIN };
	p[WAIT_OUT] =
		(struct pollfd){ .fd = c->output.n ? c->terminal.out : -1, .events = POLLOUT };
	p[WAIT_SIGNALS] = (struct pollfd){ .fd = c->terminal.signals, .events = POLLIN };
}

/* Return: 0 continue; -ECANCELED disconnect; -EPIPE the socket was closed; another errno. */
static int handle_events(struct console *c, const struct pollfd p[WAIT_COUNT])
{
	int r = 0;

	if (p[WAIT_SIGNALS].revents && terminal_signal(&c->terminal))
		return -ECANCELED;
	if (p[WAIT_IN].revents)
		r = on_input(c);
	if (r == 0 && p[WAIT_OUT].revents &&
	    drain_buffer(&c->output, c->terminal.out, c->terminal.chunk) < 0)
		r = -ECANCELED; /* the output was closed */
	if (r == 0 && p[WAIT_GUEST].revents & POLLOUT &&
	    drain_buffer(&c->input, c->fd, sizeof(c->input.bytes)) < 0)
		c->input.n = c->input.done = 0; /* the next read reports the error */
	if (r == 0 && p[WAIT_GUEST].revents & ~POLLOUT && !c->output.n)
		r = fill_buffer(&c->output, c->fd);
	return r > 0 ? 0 : r;
}

/* How long to wait without an event, in ms. There is no limit for a user at a terminal. */
static int idle_limit(const struct console *c)
{
	if (c->input.n && !c->terminal.tty)
		return STUCK_MS;
	return c->ended ? LINGER_MS : -1;
}

/*
 * Return: 0 disconnected by the user; -EPIPE the socket was closed; -ETIMEDOUT the guest reads no
 * input; another errno.
 */
static int copy_data(struct console *c)
{
	struct pollfd p[WAIT_COUNT];
	int r;

	for (;;) {
		what_to_poll(c, p);
		r = poll(p, WAIT_COUNT, idle_limit(c));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0) /* input has ended, and there is no more output */
			return c->input.n ? -ETIMEDOUT : 0;
		r = r < 0 ? 0 : handle_events(c, p);
		if (r < 0)
			return r == -ECANCELED ? 0 : r;
	}
}

static int run_session(struct console *c)
{
	int r = terminal_take(&c->terminal, c->ctl->readonly);

	if (r < 0)
		return r;
	if (c->terminal.tty)
		fprintf(stderr, "Connected to %s%s; Ctrl-] disconnects\r\n", c->name,
			c->ctl->readonly ? " (read-only)" : "");
	r = copy_data(c);
	terminal_restore(&c->terminal);
	return r;
}

/* ---- sessions ---- */

/* Return: enum ctl_status. */
static int report_end(const struct console *c, int r, const struct ghvm_error *err)
{
	if (c->terminal.tty)
		fputs("\nDisconnected\n", stderr);
	if (r == 0 || r == -EPIPE || r == -ESRCH)
		return CTL_OK; /* disconnected by the user, or the guest has ended */
	if (r == -EBUSY)
		return ctl_fail(CTL_FAILED, "%s: another client has taken over the console",
				c->name);
	if (r == -ETIMEDOUT)
		return ctl_fail(CTL_FAILED, "%s reads no input: %zu bytes were not sent", c->name,
				c->input.n - c->input.done);
	return ctl_fail(client_status(r), "%s", err->code ? err->msg : strerror(-r));
}

static int run_console(struct console *c)
{
	struct ghvm_error err = {};
	int r;

	for (;;) {
		(void)fcntl(c->fd, F_SETFL, O_NONBLOCK); /* cannot fail on a socket */
		r = run_session(c);
		if (r != -EPIPE || c->ended)
			break;
		closep(&c->fd);
		c->fd = -1;
		c->input.n = c->input.done = 0; /* input for the previous guest */
		r = reconnect(c, &err);
		if (r < 0)
			break;
	}
	return report_end(c, r, &err);
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
	r = r < 0 ? ctl_fail(CTL_FAILED, "%s: %s", c.name, strerror(-r)) : run_console(&c);
	terminal_close(&c.terminal);
	closep(&c.fd);
	return r;
}
