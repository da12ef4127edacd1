/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File descriptors by name, from systemd's descriptor store.
 *
 * They are removed from the store first. A descriptor that stays there outlives the runner, and the
 * manager would not notice that the runner has exited.
 */
#include "daemon/runner/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "daemon/ipc/protocol.h"
#include "libghvm/base/cleanup.h"

#define BARRIER_USEC (5 * 1000 * 1000ULL)

void fds_init(struct fds *f)
{
	*f = (struct fds){
		.grant = -1,
		.control = -1,
		.listen = -1,
		.machine = -1,
		.ram = -1,
		.vsock = -1,
		.refused = -1,
	};
	for (size_t i = 0; i < GHVM_SPEC_CPUS_MAX; i++)
		f->wake[i] = -1;
	for (size_t i = 0; i < GHVM_SPEC_LOGS_MAX; i++)
		f->console_log[i] = -1;
	for (size_t i = 0; i < GHVM_SPEC_VHOST_MAX; i++)
		f->sockets[i] = -1;
	for (size_t i = 0; i < GHVM_SPEC_DISKS_MAX; i++)
		f->disks[i] = -1;
	for (size_t i = 0; i < GHVM_LINK_KINDS; i++)
		f->sent[i] = -1;
}

void fds_done(struct fds *f)
{
	closep(&f->grant);
	closep(&f->control);
	closep(&f->listen);
	closep(&f->machine);
	closep(&f->ram);
	closep(&f->vsock);
	for (size_t i = 0; i < GHVM_SPEC_VHOST_MAX; i++)
		closep(&f->sockets[i]);
	for (size_t i = 0; i < GHVM_SPEC_DISKS_MAX; i++)
		closep(&f->disks[i]);
	for (size_t i = 0; i < GHVM_SPEC_LOGS_MAX; i++)
		closep(&f->console_log[i]);
	closep(&f->refused);
	for (size_t i = 0; i < GHVM_LINK_KINDS; i++)
		closep(&f->sent[i]);
	ghvm_region_fds_done(&f->regions);
	for (size_t i = 0; i < GHVM_SPEC_CPUS_MAX; i++)
		closep(&f->wake[i]);
	fds_init(f);
}

/* "wake-3" or "console-log-1": one digit. */
static int *slot_in(int *slots, size_t n, const char *prefix, const char *name)
{
	size_t len = strlen(prefix);

	if (strlen(name) != len + 1 || strncmp(name, prefix, len))
		return NULL;
	if (name[len] < '0' || (size_t)(name[len] - '0') >= n)
		return NULL;
	return &slots[name[len] - '0'];
}

static int *sent_slot(struct fds *f, const char *name)
{
	const size_t prefix = strlen(GHVM_LINK_SENT_NAME);
	enum ghvm_link_kind kind = (enum ghvm_link_kind)0;

	if (!strncmp(name, GHVM_LINK_SENT_NAME, prefix))
		kind = ghvm_link_sent_kind(name + prefix);
	return kind ? &f->sent[kind] : NULL;
}

static int *slot_of(struct fds *f, const char *name)
{
	const struct {
		const char *name;
		int *slot;
	} slots[] = {
		{ "grant", &f->grant },		 { "control", &f->control },
		{ "listen", &f->listen },	 { "machine", &f->machine },
		{ "refused", &f->refused },	 { "console-log", &f->console_log[0] },
		{ GHVM_LINK_RAM_NAME, &f->ram }, { GHVM_LINK_VSOCK_NAME, &f->vsock },
	};

	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		if (!strcmp(slots[i].name, name))
			return slots[i].slot;
	return slot_in(f->wake, GHVM_SPEC_CPUS_MAX, "wake-", name)
		       ?: slot_in(f->console_log, GHVM_SPEC_LOGS_MAX, "console-log-", name)
				  ?: slot_in(f->sockets, GHVM_SPEC_VHOST_MAX, GHVM_LINK_SOCKET_NAME, name)
				  ?: slot_in(f->disks, GHVM_SPEC_DISKS_MAX, GHVM_LINK_DISK_NAME, name)
				  ?: sent_slot(f, name);
}

static int add_region(struct fds *f, const char *label, int fd)
{
	char *end;
	unsigned long n = strtoul(label, &end, 10);

	if (!*label || *end || n > UINT32_MAX)
		return -ENOENT;
	return ghvm_region_fds_put(&f->regions, (uint32_t)n, fd);
}

int fds_add(struct fds *f, const char *name, int fd)
{
	_cleanup_(closep) int owned = fd;
	const size_t prefix = strlen(GHVM_LINK_REGION_NAME);
	int *slot = slot_of(f, name);

	if (!strncmp(name, GHVM_LINK_REGION_NAME, prefix))
		return add_region(f, name + prefix, fd);
	if (!slot)
		return -ENOENT;
	if (*slot >= 0)
		return -EEXIST;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	*slot = TAKE_FD(owned);
	return 0;
}

static void empty_store(char **names, int n)
{
	for (int i = 0; i < n; i++)
		(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", names[i]);
	/* after a timeout, systemd will still read the message later */
	(void)sd_notify_barrier(0, BARRIER_USEC);
}

static void free_names(char **names, int n)
{
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

int fds_take(struct fds *f, struct ghvm_error *err)
{
	char **names = NULL;
	int n, r = 0;

	n = sd_listen_fds_with_names(1, &names);
	if (n < 0)
		return ghvm_error_set(err, n,
				      "cannot take file descriptors from the descriptor store: %s",
				      strerror(-n));
	empty_store(names, n);
	for (int i = 0; i < n; i++) {
		int added = fds_add(f, names[i], SD_LISTEN_FDS_START + i);

		if (added == -EEXIST && r == 0)
			r = ghvm_error_set(err, added, "two file descriptors are named '%s'",
					   names[i]);
	}
	free_names(names, n);
	return r;
}

int fds_check(const struct fds *f, struct ghvm_error *err)
{
	const char *missing = NULL;

	if (f->grant < 0)
		missing = "grant";
	else if (f->control < 0)
		missing = "control";
	else if (f->machine < 0)
		missing = "machine";
	return missing ? ghvm_error_set(err, -ENOENT,
					"missing file descriptor '%s': was the start helper run?",
					missing)
		       : 0;
}
