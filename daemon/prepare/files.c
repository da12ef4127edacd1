/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files as root, following no symbolic links but those of root.
 */
#include "daemon/prepare/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/vhost.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
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
	return ghvm_file_open_root(path, O_RDONLY);
}

static int open_writable(const char *path)
{
	return ghvm_file_open_root(path, O_RDWR);
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

int files_open_writable(const char *key, const char *path, const struct ghvm_spec_owner *owner,
			struct ghvm_error *err)
{
	const int r = open_as(owner, path, open_writable);

	if (r == -EACCES && owner->uid != geteuid())
		return ghvm_error_set(
			err, r, "%s: %s: the user %u, who owns the descriptor, may not write it",
			key, path, owner->uid);
	if (r == -EROFS || r == -EPERM)
		return ghvm_error_set(err, -EACCES,
				      "%s: %s: it cannot be written: %s; the guest may read it "
				      "with readonly: true",
				      key, path, strerror(-r));
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

/* The node is there before the module, which the kernel loads when it is opened, if the host's kmod has said so to udev. */
int files_open_vsock(const char *key, unsigned int cid, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = open(FILES_VSOCK, O_RDWR | O_CLOEXEC);
	const uint64_t guest = cid;

	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return ghvm_error_set(err, -ENXIO,
				      "%s: " FILES_VSOCK
				      ": %s: the host's kernel needs its module: modprobe "
				      "vhost_vsock",
				      key, strerror(errno));
	if (fd < 0)
		return ghvm_error_set(err, -errno, "%s: " FILES_VSOCK ": %s", key, strerror(errno));
	if (ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &guest) < 0)
		return ghvm_error_set(err, -errno, "%s: " FILES_VSOCK ": the CID %u: %s", key, cid,
				      strerror(errno));
	return TAKE_FD(fd);
}

/* ---- console logs ---- */

#define FILES_OWNED_NAME (GHVM_NAME_SIZE + sizeof("4294967295.")) /* UID.NAME */

int files_open_log(const char *dir_path, const char *name, unsigned int nth, struct ghvm_error *err)
{
	_cleanup_(closep) int dir = open(dir_path, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	char file[FILES_OWNED_NAME + sizeof(".log.99")];
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

/* ---- console logs of VMs that came over the bus ---- */

/* Many more than are kept; what exceeds them is removed at the next starts. */
#define OLD_LOGS_MAX 512

struct old_log {
	char name[FILES_OWNED_NAME + sizeof(".log.99")];
	struct timespec written;
	uint64_t size;
};

static int newest_first(const void *a, const void *b)
{
	const struct timespec *x = &((const struct old_log *)a)->written,
			      *y = &((const struct old_log *)b)->written;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec > y->tv_sec ? -1 : 1;
	return x->tv_nsec > y->tv_nsec ? -1 : x->tv_nsec < y->tv_nsec;
}

/* The logs in @folder with names that begin with @owner. */
static size_t list_logs(DIR *folder, const char *owner, struct old_log v[OLD_LOGS_MAX])
{
	const struct dirent *e;
	size_t n = 0;
	struct stat st;

	while (n < OLD_LOGS_MAX && (e = readdir(folder))) {
		if (strncmp(e->d_name, owner, strlen(owner)) ||
		    strlen(e->d_name) >= sizeof(v[n].name) ||
		    fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		memcpy(v[n].name, e->d_name, strlen(e->d_name) + 1);
		v[n].written = st.st_mtim;
		v[n++].size = (uint64_t)st.st_size;
	}
	return n;
}

/* What cannot be removed stays: the next start tries again. */
static void remove_old_logs(const char *path, uid_t uid)
{
	_cleanup_(freep) struct old_log *v = calloc(OLD_LOGS_MAX, sizeof(*v));
	DIR *folder = opendir(path);
	char owner[16];
	uint64_t bytes = 0;
	size_t n;

	(void)snprintf(owner, sizeof(owner), "%u.", uid); /* fits */
	n = v && folder ? list_logs(folder, owner, v) : 0;
	if (n)
		qsort(v, n, sizeof(*v), newest_first);
	for (size_t i = 0; i < n; i++) {
		bytes += v[i].size;
		if (i >= FILES_KEPT_LOGS || bytes > FILES_KEPT_BYTES)
			(void)unlinkat(dirfd(folder), v[i].name, 0);
	}
	if (folder)
		(void)closedir(folder);
}

/* Entered by the group of @dir, as @dir is. @path: PATH_MAX bytes, set */
static int make_users_dir(const char *dir, char *path, struct ghvm_error *err)
{
	struct stat st;
	int fd;

	if ((size_t)snprintf(path, PATH_MAX, "%s/" FILES_USERS_DIR, dir) >= PATH_MAX)
		return ghvm_error_set(err, -ENAMETOOLONG, "%s: %s", dir, strerror(ENAMETOOLONG));
	if (mkdir(path, 0750) < 0)
		return errno == EEXIST
			       ? 0
			       : ghvm_error_set(err, -errno, "%s: %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && stat(dir, &st) == 0 && fchown(fd, (uid_t)-1, st.st_gid) == 0)
		(void)fchmod(fd, 0750); /* whatever the umask; without it root can still write */
	closep(&fd);
	return 0;
}

int files_open_user_log(const char *dir, uid_t uid, const char *name, unsigned int nth,
			struct ghvm_error *err)
{
	char path[PATH_MAX], owned[FILES_OWNED_NAME];
	int r = make_users_dir(dir, path, err);

	if (r < 0)
		return r;
	if (!nth)
		remove_old_logs(path, uid);
	(void)snprintf(owned, sizeof(owned), "%u.%s", uid, name); /* fits */
	return files_open_log(path, owned, nth, err);
}
