/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console: bytes between our terminal and the guest's, by a descriptor from the manager.
 *
 * The terminal is raw meanwhile, so only Ctrl-] is ours; when input is no terminal, its end
 * is ours, and what the guest says in the next moment is still shown. A guest that reboots in
 * place keeps its console; where the whole unit starts again, the new one is waited for.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/unit.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define LEAVE 0x1d /* Ctrl-] */
#define LINGER_MS 500
#define RETRY_MS 200
#define SAY_AFTER 5
#define RETRIES 300 /* a minute: a unit starts within three, but somebody is watching */

/**
 * struct console - one call
 * @fd: the guest's end, owned
 * @signals: those that would end us with the terminal raw, owned
 * @tty: input is a terminal
 * @ended: input has ended
 */
struct console {
	const char *name;
	int fd;
	int signals;
	bool tty;
	bool ended;
};

static int open_console(const char *name, int *ret_fd, struct ghvm_error *err)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *path = NULL;
	sd_bus_message *reply = NULL;
	const char *pty;
	struct call c;
	int r = client_open(&bus, err), fd;

	if (r == 0)
		r = client_path(bus, name, &path, err);
	c = client_verb(path, CLIENT_MANAGER ".VM", "OpenConsole");
	if (r == 0)
		r = client_call(bus, &c, &reply, err, name, "a{sv}", 0);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "hs", &fd, &pty);
	if (r >= 0) {
		*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message's own is closed with it */
		r = *ret_fd < 0 ? -errno : 0;
	}
	(void)sd_bus_message_unref(reply);
	return r < 0 ? ghvm_error_set(err, r, "%s: %s", name, strerror(-r)) : 0;
}

static int write_all(int fd, const char *buf, size_t n)
{
	while (n) {
		ssize_t w = write(fd, buf, n);

		if (w < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			(void)poll(&p, 1, -1); /* tried again whatever it says */
			continue;
		}
		if (w < 0 && errno != EINTR)
			return -errno;
		if (w > 0) {
			buf += w;
			n -= (size_t)w;
		}
	}
	return 0;
}

/* Return: 1 go on; 0 @from has ended, or (@watch) Ctrl-]; negative errno of @to. */
static int pass(int from, int to, bool watch)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));
	const char *leave;
	int r;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0)
		return 0; /* EIO: nobody holds the other end of the pty */
	leave = watch ? memchr(buf, LEAVE, (size_t)n) : NULL;
	if (leave)
		n = leave - buf;
	r = write_all(to, buf, (size_t)n);
	return r < 0 ? r : !leave;
}

/* Return: 1 go on; 0 leave; -EIO the guest is gone; another errno. */
static int on_input(struct console *c)
{
	int r = pass(STDIN_FILENO, c->fd, c->tty);

	if (r != 0 || c->tty)
		return r;
	c->ended = true;
	return 1;
}

/* Return: 0 left; -EIO the guest is gone; another errno. */
static int talk(struct console *c)
{
	for (;;) {
		struct pollfd p[] = {
			{ .fd = c->fd, .events = POLLIN },
			{ .fd = c->ended ? -1 : STDIN_FILENO, .events = POLLIN },
			{ .fd = c->signals, .events = POLLIN },
		};
		int r = poll(p, ARRAY_SIZE(p), c->ended ? LINGER_MS : -1);

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r < 0)
			continue;
		if (r == 0 || p[2].revents)
			return 0; /* input has ended, and the guest says no more */
		if (p[0].revents) {
			r = pass(c->fd, STDOUT_FILENO, false);
			if (r <= 0)
				return r < 0 ? r : -EIO;
		}
		if (p[1].revents) {
			r = on_input(c);
			if (r <= 0)
				return r;
		}
	}
}

/* ---- a guest that comes back ---- */

/* Return: 1 wait; 0 leave. */
static int wait_a_little(struct console *c)
{
	struct pollfd p[] = {
		{ .fd = c->tty ? STDIN_FILENO : -1, .events = POLLIN },
		{ .fd = c->signals, .events = POLLIN },
	};
	char buf[256];
	ssize_t n;

	if (poll(p, ARRAY_SIZE(p), RETRY_MS) <= 0)
		return 1;
	if (p[1].revents)
		return 0;
	n = read(STDIN_FILENO, buf, sizeof(buf)); /* nobody is there to take it */
	return n > 0 && !memchr(buf, LEAVE, (size_t)n);
}

/* False: its unit has ended, or there is none. */
static bool will_be_back(const char *name)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct unit_state unit;

	if (client_open(&bus, NULL) < 0)
		return false;
	unit_look(bus, name, &unit);
	return !strcmp(unit.active, "active") || !strcmp(unit.active, "activating") ||
	       !strcmp(unit.active, "deactivating");
}

/* Return: 1 connected again; 0 it has ended, or the user has left. */
static int reconnect(struct console *c)
{
	(void)close(c->fd);
	c->fd = -1;
	for (int i = 0; i < RETRIES && will_be_back(c->name); i++) {
		if (open_console(c->name, &c->fd, NULL) == 0)
			return 1;
		if (i == SAY_AFTER)
			fprintf(stderr, "\r\n%s is gone; waiting for it to come back\r\n", c->name);
		if (!wait_a_little(c))
			return 0;
	}
	return 0;
}

/* ---- the terminal ---- */

static int watch_signals(void)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN); /* writes tell */
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* the set is good */
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run(struct console *c)
{
	struct termios saved, raw;
	bool is_raw = false;
	int r;

	if (c->tty && tcgetattr(STDIN_FILENO, &saved) == 0) {
		raw = saved;
		cfmakeraw(&raw);
		is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
		fprintf(stderr, "Connected to %s; Ctrl-] leaves\r\n", c->name);
	}
	do
		r = talk(c);
	while (r == -EIO && !c->ended && reconnect(c));
	if (is_raw) {
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
		fputs("\nLeft the console\n", stderr);
	}
	return r == -EIO ? 0 : r;
}

int verb_console(const struct ctl *ctl, char **args, int n)
{
	struct console c = { .name = args[0], .fd = -1, .tty = isatty(STDIN_FILENO) };
	struct ghvm_error err = {};
	int r;

	r = ghvm_name_valid(c.name) ? open_console(c.name, &c.fd, &err)
				    : ghvm_spec_absent(c.name, ctl->dirs, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	c.signals = watch_signals();
	r = run(&c);
	if (c.fd >= 0)
		(void)close(c.fd);
	(void)close(c.signals);
	return r < 0 ? ctl_fail(CTL_FAILED, "%s: %s", c.name, strerror(-r)) : CTL_OK;
}
