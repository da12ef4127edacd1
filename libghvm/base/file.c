/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens in two steps: O_PATH finds the file without opening it; once checked, the same file is
 * opened through /proc/self/fd, whatever its name refers to by then.
 */
#include "libghvm/base/file.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int ghvm_file_open(int dir, const char *path)
{
	_cleanup_(closep) int found = openat(dir, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char number[64];
	struct stat st;
	int fd;

	if (found < 0 || fstat(found, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) /* O_PATH | O_NOFOLLOW opens links */
		return -ELOOP;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	(void)snprintf(number, sizeof(number), "/proc/self/fd/%d", found); /* fits */
	fd = open(number, O_RDONLY | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int ghvm_file_create(int dir, const char *name)
{
	int fd;

	(void)unlinkat(dir, name, 0); /* may not exist */
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}
