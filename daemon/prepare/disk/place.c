/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and removing the folder of a disk.
 */
#include "daemon/prepare/disk/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/prepare/disk/options.h"
#include "libghvm/base/cleanup.h"

void place_path(const char *dir, const char *vm, unsigned int nth, const char *file,
		char ret[PLACE_PATH])
{
	(void)snprintf(ret, PLACE_PATH, "%s/%s.%u%s%s", dir, vm, nth, *file ? "/" : "", file);
}

int place_lock(const char *dir, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = -1;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return ghvm_error_set(err, -errno, "%s: %s", dir, strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return ghvm_error_set(err, -errno, "%s: %s", dir, strerror(errno));
	return TAKE_FD(fd);
}

bool place_exists(const char *dir, const char *vm, unsigned int nth)
{
	char path[PLACE_PATH];
	struct stat st;

	place_path(dir, vm, nth, "", path);
	return lstat(path, &st) == 0;
}

static int set_error(const struct disk *d, const char *path, struct ghvm_error *err)
{
	return ghvm_error_set(err, -errno, "%s: %s: %s", d->key, path, strerror(errno));
}

/* What systemd makes in it, the points to mount on, goes with it. */
static int mount_root(const struct disk *d, struct ghvm_error *err)
{
	char path[PLACE_PATH];

	place_path(d->dir, d->vm, d->nth, PLACE_ROOT, path);
	if (mkdir(path, 0755) < 0 || mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
					   "mode=0755,size=64k,nr_inodes=64") < 0)
		return set_error(d, path, err);
	return 0;
}

static int mount_image(const struct disk *d, struct ghvm_error *err)
{
	const unsigned long flags =
		MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC | (d->spec->readonly ? MS_RDONLY : 0);
	char path[PLACE_PATH], open_file[64];
	int fd;

	place_path(d->dir, d->vm, d->nth, PLACE_IMAGE, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return set_error(d, path, err);
	(void)close(fd); /* nothing was written */
	(void)snprintf(open_file, sizeof(open_file), "/proc/self/fd/%d", d->image); /* fits */
	if (mount(open_file, path, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, path, NULL, MS_REMOUNT | flags, NULL) < 0)
		return set_error(d, path, err);
	return 0;
}

static int write_options(const struct disk *d, struct ghvm_error *err)
{
	char path[PLACE_PATH];
	int fd, r;

	place_path(d->dir, d->vm, d->nth, PLACE_OPTIONS, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return set_error(d, path, err);
	r = options_write(d->spec, fd);
	if (close(fd) < 0 || r < 0)
		return ghvm_error_set(err, r < 0 ? r : -errno, "%s: %s: cannot be written", d->key,
				      path);
	return 0;
}

int place_make(const struct disk *d, struct ghvm_error *err)
{
	char path[PLACE_PATH];
	int r;

	place_path(d->dir, d->vm, d->nth, "", path);
	if (mkdir(path, 0700) < 0)
		return set_error(d, path, err);
	r = mount_root(d, err);
	if (r == 0)
		r = mount_image(d, err);
	return r < 0 ? r : write_options(d, err);
}

static void unmount(const char *dir, const char *vm, unsigned int nth, const char *file)
{
	char path[PLACE_PATH];

	place_path(dir, vm, nth, file, path);
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		; /* each mount of it: until there is none */
}

void place_remove(const char *dir, const char *vm, unsigned int nth)
{
	char path[PLACE_PATH];

	unmount(dir, vm, nth, PLACE_IMAGE);
	unmount(dir, vm, nth, PLACE_ROOT);
	place_path(dir, vm, nth, PLACE_ROOT, path);
	(void)rmdir(path); /* may be missing, as those below */
	place_path(dir, vm, nth, PLACE_OPTIONS, path);
	(void)unlink(path);
	place_path(dir, vm, nth, PLACE_SOCKET, path);
	(void)unlink(path);
	place_path(dir, vm, nth, "", path);
	if (rmdir(path) < 0 && errno != ENOENT)
		fprintf(stderr, "Cannot remove %s: %s\n", path, strerror(errno));
}
