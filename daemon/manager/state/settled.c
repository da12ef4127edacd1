/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file vmids.settled, which exists while no manager runs.
 */
#include "daemon/manager/state/settled.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/manager/core/log.h"
#include "libghvm/base/cleanup.h"

#define NAME "vmids.settled" /* cannot be a VM: VM names have no dots */

static int open_dir(const char *dir)
{
	return open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool settled_take(const char *dir)
{
	_cleanup_(closep) int fd = open_dir(dir);

	return fd >= 0 && unlinkat(fd, NAME, 0) == 0;
}

void settled_leave(const char *dir)
{
	_cleanup_(closep) int fd = open_dir(dir), file = -1;

	if (fd >= 0)
		file = openat(fd, NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		log_warning(NULL, -errno,
			    "Cannot write vmids.settled; the next manager will query each VMID");
}
