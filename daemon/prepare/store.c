/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sd_notify() with descriptors (sd_pid_notify_with_fds(3)).
 */
#include "daemon/prepare/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "libghvm/base/cleanup.h"
#include "daemon/ipc/foreign.h"
#include "daemon/ipc/protocol.h"
#include "ghvm/spec.h"

#define BARRIER_USEC (10 * 1000 * 1000ULL)
#define PUSH_TRIES 200 /* ten seconds for the kernel to have memory for a message */
#define PUSH_AGAIN_MS 50

static void remove_name(const char *name)
{
	(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name); /* no systemd: nothing stored */
}

/* Remove all names that a runner uses. */
static void remove_known(void)
{
	static const char *const names[] = {
		"grant",
		"control",
		"listen",
		"machine",
		"console-log",
		"refused",
		GHVM_LINK_RAM_NAME,
		GHVM_LINK_VSOCK_NAME,
		GHVM_LINK_SENT_NAME "kernel",
		GHVM_LINK_SENT_NAME "initrd",
	};
	char wake[STORE_NAME_SIZE], log[STORE_NAME_SIZE], socket[STORE_NAME_SIZE];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove_name(names[i]);
	for (int i = 0; i < GHVM_SPEC_CPUS_MAX; i++) {
		(void)snprintf(wake, sizeof(wake), "wake-%d", i);
		remove_name(wake);
	}
	for (int i = 0; i < GHVM_SPEC_VHOST_MAX; i++) {
		(void)snprintf(socket, sizeof(socket), GHVM_LINK_SOCKET_NAME "%d", i);
		remove_name(socket);
	}
	for (int i = 0; i < GHVM_SPEC_DISKS_MAX; i++) {
		(void)snprintf(socket, sizeof(socket), GHVM_LINK_DISK_NAME "%d", i);
		remove_name(socket);
	}
	for (int i = 1; i < GHVM_SPEC_LOGS_MAX; i++) {
		(void)snprintf(log, sizeof(log), "console-log-%d", i);
		remove_name(log);
	}
}

void store_init(struct store *s, bool keep)
{
	*s = (struct store){ .keep = keep };
	if (!keep)
		remove_known();
}

void store_forget_region(struct store *s, uint32_t label)
{
	char name[STORE_NAME_SIZE];

	(void)snprintf(name, sizeof(name), GHVM_LINK_REGION_NAME "%u", label); /* fits */
	if (!s->keep)
		remove_name(name);
}

void store_done(struct store *s)
{
	for (size_t i = 0; i < s->n; i++)
		closep(&s->fds[i]);
	s->n = 0;
}

/* The name is used in a notify message and as an argument, so only some characters are allowed. */
static bool name_good(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n && !name[n] && n < STORE_NAME_SIZE;
}

static int push_fd(const char *name, int fd)
{
	char text[STORE_NAME_SIZE + 64];
	int r = -EAGAIN;

	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	for (int i = 0; i < PUSH_TRIES; i++) {
		r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
		if (!ghvm_link_try_later(r))
			break;
		(void)poll(NULL, 0, PUSH_AGAIN_MS); /* an early return is harmless */
	}
	return r == 0 ? -ENOTCONN : r < 0 ? r : 0;
}

static void close_foreignp(int *fd)
{
	ghvm_close_foreign(*fd);
}

int store_add(struct store *s, const char *name, int fd, struct ghvm_error *err)
{
	_cleanup_(close_foreignp) int owned = fd; /* the manager is not trusted */
	int r;

	if (!name_good(name))
		return ghvm_error_set(err, -EINVAL, "the manager sent an invalid name");
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->names[i], name))
			return ghvm_error_set(err, -EEXIST, "the manager sent '%s' twice", name);
	if (s->n >= STORE_MAX)
		return ghvm_error_set(err, -ENOSPC, "the manager sent too many file descriptors");
	r = s->keep ? 0 : push_fd(name, fd);
	if (r < 0)
		return ghvm_error_set(err, r,
				      "cannot put '%s' into the unit's descriptor store: %s", name,
				      r == -ENOTCONN ? "not run by systemd" : strerror(-r));
	memcpy(s->names[s->n], name, strlen(name) + 1);
	s->fds[s->n] = s->keep ? TAKE_FD(owned) : -1;
	s->n++;
	return 0;
}

int store_sync(struct store *s, struct ghvm_error *err)
{
	int r = s->keep ? 1 : sd_notify_barrier(0, BARRIER_USEC);

	if (r < 0)
		return ghvm_error_set(err, r, "systemd does not accept file descriptors: %s",
				      strerror(-r));
	return 0;
}

void store_remove(struct store *s)
{
	if (!s->keep) {
		for (size_t i = 0; i < s->n; i++)
			remove_name(s->names[i]);
		(void)sd_notify_barrier(0, BARRIER_USEC); /* best effort */
	}
	store_done(s);
}

int store_exec(struct store *s, const char *runner, const char *name)
{
	char options[STORE_MAX][STORE_NAME_SIZE + 16];
	char *argv[STORE_MAX + 3];
	size_t n = 0;

	argv[n++] = (char *)runner;
	for (size_t i = 0; i < s->n; i++) {
		if (fcntl(s->fds[i], F_SETFD, 0) < 0)
			return -errno;
		(void)snprintf(options[i], sizeof(options[i]), "--fd=%s=%d", s->names[i],
			       s->fds[i]);
		argv[n++] = options[i];
	}
	argv[n++] = (char *)name;
	argv[n] = NULL;
	(void)execv(runner, argv); /* returns only on failure */
	return -errno;
}
