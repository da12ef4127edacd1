/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folders of disks are the list of images in use: each has its image as a mount.
 */
#include "daemon/prepare/disk/use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daemon/prepare/disk/place.h"
#include "libghvm/base/cleanup.h"

/* Bytes that QEMU locks of an image: one for each thing it does, and one for each it forbids. */
#define QEMU_WRITES 101
#define QEMU_FORBIDS_WRITES 201

/* Does that folder have the image of @st, and may one of both write it? */
static bool has_image(int dir, const char *folder, const struct stat *st, bool readonly)
{
	char path[NAME_MAX + sizeof("/" PLACE_IMAGE)];
	_cleanup_(closep) int fd = -1;
	struct statvfs mount;
	struct stat other;

	(void)snprintf(path, sizeof(path), "%s/" PLACE_IMAGE, folder); /* fits: NAME_MAX */
	fd = openat(dir, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &other) < 0 || fstatvfs(fd, &mount) < 0)
		return false;
	return other.st_dev == st->st_dev && other.st_ino == st->st_ino &&
	       !(readonly && mount.f_flag & ST_RDONLY);
}

/* @folder is VM.N: names of VMs have no dot. */
static int set_user(const struct disk *d, const char *folder, struct ghvm_error *err)
{
	const char *dot = strrchr(folder, '.');

	return ghvm_error_set(err, -EBUSY, "%s: %s: is in use by VM %.*s, as its disk %s", d->key,
			      d->spec->image, dot ? (int)(dot - folder) : 0, folder,
			      dot ? dot + 1 : "");
}

static int check_folders(const struct disk *d, int dir, const struct stat *st,
			 struct ghvm_error *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!list) {
		closep(&fd);
		return ghvm_error_set(err, -errno, "%s: %s: %s", d->key, d->dir, strerror(errno));
	}
	while (r == 0 && (e = readdir(list)))
		if (e->d_name[0] != '.' && has_image(dir, e->d_name, st, d->spec->readonly))
			r = set_user(d, e->d_name, err);
	(void)closedir(list); /* only read from */
	return r;
}

static bool is_locked(int fd, off_t byte)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int use_check(const struct disk *d, int dir, struct ghvm_error *err)
{
	struct stat st;
	int r;

	if (fstat(d->image, &st) < 0)
		return ghvm_error_set(err, -errno, "%s: %s: %s", d->key, d->spec->image,
				      strerror(errno));
	r = check_folders(d, dir, &st, err);
	if (r < 0)
		return r;
	if (is_locked(d->image, QEMU_WRITES) ||
	    (!d->spec->readonly && is_locked(d->image, QEMU_FORBIDS_WRITES)))
		return ghvm_error_set(err, -EBUSY,
				      "%s: %s: is in use by another process, which has locked it "
				      "as QEMU does; see lslocks",
				      d->key, d->spec->image);
	return 0;
}
