/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console: bytes between our terminal and the guest's, by a descriptor from the manager.
 *
 * The terminal is raw meanwhile, so only Ctrl-] is ours; when input is no terminal, its end
 * is ours, and what the guest says in the next moment is still shown.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"

#include "libghvm/cleanup.h"
#include "libghvm/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LEAVE 0x1d /* Ctrl-] */
#define LINGER_MS 500

static int open_console(const char *name, int *ret_fd, struct ghvm_error *err)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *path = client_path(name);
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *pty;
	int r = path ? client_open(&bus, err) : -ENOMEM, fd;

	if (r < 0)
		return r;
	r = sd_bus_call_method(bus, CLIENT_MANAGER, path, "org.gunyah.vmm1.VM", "OpenConsole", &e,
			       &reply, "a{sv}", 0);
	if (r < 0)
		return client_error(err, &e, r, name);
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

/* Return: 1 go on; 0 the end, or Ctrl-]; negative errno. */
static int pass(int from, int to, bool watch)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));
	const char *leave;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	leave = watch ? memchr(buf, LEAVE, (size_t)n) : NULL;
	if (leave)
		n = leave - buf;
	if (n > 0 && write_all(to, buf, (size_t)n) < 0)
		return -EIO;
	return leave || n == 0 ? 0 : 1;
}

static int loop(int fd, bool tty)
{
	struct pollfd p[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	int timeout = -1, r;

	for (;;) {
		r = poll(p, 2, timeout);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return 0; /* input has ended, and the guest says no more */
		if (r > 0 && p[0].revents) {
			r = pass(fd, STDOUT_FILENO, false);
			if (r <= 0)
				return r == -EIO ? 0 : r; /* EIO: the runner is gone */
		}
		if (p[1].revents) {
			r = pass(STDIN_FILENO, fd, tty);
			if (r < 0 || (r == 0 && tty))
				return r;
			if (r == 0) {
				p[1].fd = -1;
				p[1].revents = 0;
				timeout = LINGER_MS;
			}
		}
	}
}

int verb_console(const struct ctl *ctl, char **args, int n)
{
	const bool tty = isatty(STDIN_FILENO);
	_cleanup_(closep) int fd = -1;
	struct ghvm_error err = {};
	struct termios saved, raw;
	int r;

	if (!ghvm_name_valid(args[0]))
		return ctl_fail(CTL_NO_VM, "'%s' is not a VM's name", args[0]);
	r = open_console(args[0], &fd, &err);
	if (r < 0)
		return ctl_fail(r == -EHOSTDOWN ? CTL_NO_MANAGER : CTL_FAILED, "%s", err.msg);
	if (tty && tcgetattr(STDIN_FILENO, &saved) == 0) {
		raw = saved;
		cfmakeraw(&raw);
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw); /* works cooked as well */
		fprintf(stderr, "Connected to %s; Ctrl-] leaves\r\n", args[0]);
	}
	r = loop(fd, tty);
	if (tty) {
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
		fputs("\nLeft the console\n", stderr);
	}
	return r < 0 ? ctl_fail(CTL_FAILED, "%s: %s", args[0], strerror(-r)) : CTL_OK;
}
