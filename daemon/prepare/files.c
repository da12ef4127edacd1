/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files as root without following symbolic links.
 */
#include "daemon/prepare/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/spec/files.h"
#include "ghvm/spec.h"
#include "ghvm/types.h"

static const char *explain(int error)
{
	return error == ELOOP ? "a symbolic link; name the file itself" : strerror(error);
}

static int open_file(const char *path)
{
	return ghvm_file_open(AT_FDCWD, path);
}

static int open_path(const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * With the uid of the file system come its capabilities: those of root are off meanwhile. The calls
 * report no failure, so the uid is read back.
 */
static int open_as(const struct ghvm_spec_owner *owner, const char *path,
		   int (*open_it)(const char *path))
{
	int r = -EPERM;

	if (geteuid() != 0 || owner->uid == 0)
		return open_it(path);
	(void)setfsgid(owner->gid);
	(void)setfsuid(owner->uid);
	if (setfsuid((uid_t)-1) == (int)owner->uid)
		r = open_it(path);
	(void)setfsuid(0);
	(void)setfsgid(getegid());
	return r;
}

int files_open(const char *key, const char *path, const struct ghvm_spec_owner *owner,
	       struct ghvm_error *err)
{
	int r;

	if (path[0] != '/')
		return ghvm_error_set(err, -EINVAL, "%s: '%s' is not an absolute path", key, path);
	r = open_as(owner, path, open_file);
	if (r == -EACCES && owner->uid != geteuid())
		return ghvm_error_set(
			err, r, "%s: %s: the user %u, who owns the descriptor, may not read it",
			key, path, owner->uid);
	return r < 0 ? ghvm_file_fail_key(key, path, -r, err) : r;
}

int files_open_socket(const char *key, const char *path, const struct ghvm_spec_owner *owner,
		      struct ghvm_error *err)
{
	_cleanup_(closep) int fd = open_as(owner, path, open_path);
	struct stat st;

	if (fd < 0)
		return ghvm_file_fail_key(key, path, -fd, err);
	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return ghvm_error_set(err, -EINVAL, "%s: %s: not a socket", key, path);
	if (!(st.st_mode & S_IWOTH))
		return ghvm_error_set(
			err, -EACCES,
			"%s: %s: only some users may connect to it, and the VM runs as "
			"another one: give it the mode 0666, in a folder that others "
			"cannot enter",
			key, path);
	return TAKE_FD(fd);
}

int files_open_log(const char *dir_path, const char *name, unsigned int nth, struct ghvm_error *err)
{
	_cleanup_(closep) int dir = open(dir_path, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	char file[GHVM_NAME_SIZE + sizeof(".log.99")];
	struct stat st, dir_st;

	if (dir < 0 || fstat(dir, &dir_st) < 0)
		return ghvm_error_set(err, -errno, "%s: %s", dir_path, strerror(errno));
	if (nth >= GHVM_SPEC_LOGS_MAX)
		return ghvm_error_set(err, -EBADMSG, "the manager requested too many log files");
	if (nth)
		(void)snprintf(file, sizeof(file), "%s.log.%u", name, nth); /* fits */
	else
		(void)snprintf(file, sizeof(file), "%s.log", name);
	fd = openat(dir, file, nth ? flags : flags | O_APPEND, 0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return ghvm_error_set(err, -errno, "%s/%s: %s", dir_path, file, explain(errno));
	if (!S_ISREG(st.st_mode))
		return ghvm_error_set(err, -EINVAL, "%s/%s: not a regular file", dir_path, file);
	/* Readable for the group of the folder, whatever the umask. */
	if (fchown(fd, (uid_t)-1, dir_st.st_gid) < 0 || fchmod(fd, 0640) < 0)
		return ghvm_error_set(err, -errno, "%s/%s: %s", dir_path, file, strerror(errno));
	return TAKE_FD(fd);
}
