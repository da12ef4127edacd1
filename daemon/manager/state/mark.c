/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager/state/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/manager/core/log.h"
#include "libghvm/base/cleanup.h"

static int open_dir(const char *dir)
{
	return open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool mark_is_set(const char *dir, const char *mark)
{
	_cleanup_(closep) int fd = open_dir(dir);

	return fd >= 0 && faccessat(fd, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool mark_take(const char *dir, const char *mark)
{
	_cleanup_(closep) int fd = open_dir(dir);

	return fd >= 0 && unlinkat(fd, mark, 0) == 0;
}

void mark_set(const char *dir, const char *mark, const char *so)
{
	_cleanup_(closep) int fd = open_dir(dir), file = -1;

	if (fd >= 0)
		file = openat(fd, mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		log_warning(NULL, -errno, "Cannot write %s; %s", mark, so);
}

/* A VM has no such name, because of the dot. */
static const char *name_vmid(struct ghvm_vmid vmid, char ret[16])
{
	(void)snprintf(ret, 16, "vmid.%u", vmid.id); /* fits */
	return ret;
}

void mark_vmid(const char *dir, struct ghvm_vmid vmid, bool used)
{
	char name[16];

	if (used)
		mark_set(dir, name_vmid(vmid, name),
			 "if this manager is killed, the next one may not find the VM's number");
	else
		(void)mark_take(dir, name_vmid(vmid, name)); /* or there was none */
}

bool mark_vmid_is_set(const char *dir, struct ghvm_vmid vmid)
{
	char name[16];

	return mark_is_set(dir, name_vmid(vmid, name));
}
