/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region dump and load.
 *
 * The memory is that of a guest that runs: a dump is no snapshot, and a guest may see a part of what is
 * loaded before the rest.
 */
#include "daemon/ctl/verbs/region-memory.h"

#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536

/* @reply: owns *@ret. Return: enum ctl_status. */
static int open_region(sd_bus *bus, const char *vm, uint32_t label, sd_bus_message **reply,
		       int *ret, uint64_t *ret_size)
{
	struct ghvm_error err = {};
	char path[512];
	struct call c;
	struct stat st;
	int r;

	(void)snprintf(path, sizeof(path), "%s/region/%" PRIu32, vm, label); /* names are short */
	c = client_verb(path, CLIENT_MANAGER ".Region", "Open");
	r = client_call(bus, &c, reply, &err, "cannot open the region", "a{sv}", 0);
	if (r < 0)
		return ctl_fail(r == -ENOENT ? CTL_FAILED : client_status(r), "%s", err.msg);
	if (sd_bus_message_read(*reply, "h", ret) < 0 || fstat(*ret, &st) < 0)
		return ctl_fail(CTL_FAILED, "malformed reply from gunyah-vmd");
	*ret_size = (uint64_t)st.st_size;
	return CTL_OK;
}

static bool is_standard(const char *file)
{
	return !file || !strcmp(file, "-");
}

/* ---- dump ---- */

static int write_all(int fd, const char *buf, size_t n)
{
	ssize_t some;

	for (; n; buf += some, n -= (size_t)some) {
		some = write(fd, buf, n);
		if (some < 0 && errno != EINTR)
			return -errno;
		if (some < 0)
			some = 0;
	}
	return 0;
}

static int write_memory(int memory, uint64_t size, int out)
{
	char buf[CHUNK];
	uint64_t at = 0;
	ssize_t n;
	int r = 0;

	for (; r == 0 && at < size; at += (uint64_t)n) {
		n = pread(memory, buf, sizeof(buf), (off_t)at);
		if (n <= 0)
			return n < 0 ? -errno : -EIO; /* the size is sealed */
		r = write_all(out, buf, (size_t)n);
	}
	return r;
}

/* Only its owner may read the memory: a file that was there before is no exception. */
static int open_output(const char *file)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;

	if (is_standard(file))
		fd = dup(STDOUT_FILENO);
	else
		fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!is_standard(file) && S_ISREG(st.st_mode) && fchmod(fd, 0600) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int region_dump(sd_bus *bus, const char *vm, uint32_t label, const char *file)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(closep) int out = -1;
	uint64_t size;
	int memory, r;

	if (is_standard(file) && isatty(STDOUT_FILENO))
		return ctl_fail(CTL_USAGE,
				"region dump does not write memory to a terminal: name a "
				"FILE");
	r = open_region(bus, vm, label, &reply, &memory, &size);
	if (r != CTL_OK)
		return r;
	out = open_output(file);
	r = out < 0 ? out : write_memory(memory, size, out);
	return r < 0 ? ctl_fail(CTL_FAILED, "%s: %s", is_standard(file) ? "standard output" : file,
				strerror(-r))
		     : CTL_OK;
}

/* ---- load ---- */

/* A pipe says its length only by its end. */
static bool is_longer(int fd, uint64_t size)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size > size;
}

static int fill_from(const char *name, int fd, int memory, uint64_t size)
{
	char buf[CHUNK];
	uint64_t at = 0;
	ssize_t n = 0;

	if (is_longer(fd, size))
		return ctl_fail(CTL_FAILED,
				"%s: longer than the region, which has %" PRIu64 " bytes", name,
				size);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if ((uint64_t)n > size - at)
			return ctl_fail(CTL_FAILED,
					"%s: longer than the region; its first %" PRIu64
					" bytes were written",
					name, at);
		if (pwrite(memory, buf, (size_t)n, (off_t)at) != n)
			return ctl_fail(CTL_FAILED, "cannot fill the region: %s", strerror(errno));
		at += (uint64_t)n;
	}
	return n < 0 ? ctl_fail(CTL_FAILED, "%s: %s", name, strerror(errno)) : CTL_OK;
}

int region_fill(const char *file, int memory, uint64_t size)
{
	_cleanup_(closep) int fd = -1;

	if (is_standard(file))
		return fill_from("standard input", STDIN_FILENO, memory, size);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ctl_fail(CTL_FAILED, "%s: %s", file, strerror(errno));
	return fill_from(file, fd, memory, size);
}

int region_load(sd_bus *bus, const char *vm, uint32_t label, const char *file)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	uint64_t size;
	int memory, r = open_region(bus, vm, label, &reply, &memory, &size);

	if (r != CTL_OK)
		return r;
	if (fcntl(memory, F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return ctl_fail(CTL_FAILED,
				"the host may only read region %" PRIu32
				" (in the descriptor: access: host-readonly)",
				label);
	return region_fill(file, memory, size);
}
