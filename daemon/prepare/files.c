/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening without being led astray.
 */
#include "daemon/prepare/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libghvm/cleanup.h"
#include "libghvm/spec-file.h"
#include "libghvm/types.h"

static const char *explain(int error)
{
	return error == ELOOP ? "a symbolic link; name the file itself" : strerror(error);
}

int files_open(const char *key, const char *path, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = -1;
	struct ghvm_error why = {};
	struct stat st;

	if (path[0] != '/')
		return ghvm_error_set(err, -EINVAL, "%s: '%s' is not an absolute path", key, path);
	/* O_NONBLOCK: a FIFO or a tape must not make us wait */
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		(void)ghvm_file_fail(path, errno, &why);
		return ghvm_error_set(err, why.code, "%s: %s", key, why.msg);
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return ghvm_error_set(err, -EINVAL, "%s: %s: not a regular file or a block device",
				      key, path);
	if (fcntl(fd, F_SETFL, 0) < 0)
		return ghvm_error_set(err, -errno, "%s: %s: %s", key, path, strerror(errno));
	return TAKE_FD(fd);
}

/* NAME.log becomes NAME.log.1 once it is big; only one old one is kept. */
static void rotate(int dir, const char *file)
{
	char old[GHVM_NAME_SIZE + sizeof(".log.1")];
	struct stat st;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size <= FILES_LOG_MAX)
		return;
	(void)snprintf(old, sizeof(old), "%s.1", file);
	(void)renameat(dir, file, dir, old); /* if not, it goes on growing until the next start */
}

int files_open_log(const char *dir_path, const char *name, struct ghvm_error *err)
{
	_cleanup_(closep) int dir = open(dir_path, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	char file[GHVM_NAME_SIZE + sizeof(".log")];
	struct stat st, dir_st;

	if (dir < 0 || fstat(dir, &dir_st) < 0)
		return ghvm_error_set(err, -errno, "%s: %s", dir_path, strerror(errno));
	(void)snprintf(file, sizeof(file), "%s.log", name);
	rotate(dir, file);
	fd = openat(dir, file,
		    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		    0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return ghvm_error_set(err, -errno, "%s/%s: %s", dir_path, file, explain(errno));
	if (!S_ISREG(st.st_mode))
		return ghvm_error_set(err, -EINVAL, "%s/%s: not a regular file", dir_path, file);
	/* Readers are the directory's group; the umask may have taken their right. */
	if (fchown(fd, (uid_t)-1, dir_st.st_gid) < 0 || fchmod(fd, 0640) < 0)
		return ghvm_error_set(err, -errno, "%s/%s: %s", dir_path, file, strerror(errno));
	return TAKE_FD(fd);
}
