/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of things: nothing of an earlier start, the image is free, its place, its units.
 */
#include "daemon/prepare/disk/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "libghvm/plan/disk-image.h"
#include "daemon/prepare/disk/place.h"
#include "daemon/prepare/disk/units.h"
#include "daemon/prepare/disk/use.h"
#include "libghvm/base/cleanup.h"

/*
 * A unit with a sandbox has a mount namespace of its own, the commands in it that are outside of the sandbox as well.
 * The mounts are for other units, so they are made where PID 1 has its own. A test without privileges stays where it is.
 */
int disk_enter_host(void)
{
	_cleanup_(closep) int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
	struct stat host, own;

	if (fd < 0)
		return errno == EACCES || errno == EPERM ? 0 : -errno;
	if (fstat(fd, &host) < 0 || stat("/proc/self/ns/mnt", &own) < 0)
		return -errno;
	if (host.st_ino == own.st_ino && host.st_dev == own.st_dev)
		return 0;
	return setns(fd, CLONE_NEWNS) < 0 ? -errno : 0;
}

static int find_daemon(const struct disk *d, struct ghvm_error *err)
{
	if (access(DISK_DAEMON, X_OK) == 0)
		return 0;
	return ghvm_error_set(err, -ENOENT,
			      "%s: a disk needs %s, which is not installed: Debian has it in the "
			      "package qemu-system-common",
			      d->key, DISK_DAEMON);
}

/* Not every file system can do without the page cache. */
static int check_direct(const struct disk *d, struct ghvm_error *err)
{
	const enum ghvm_disk_cache cache = ghvm_spec_disk_cache(d->spec);
	const int flags = fcntl(d->image, F_GETFL);

	if (cache != GHVM_CACHE_NONE && cache != GHVM_CACHE_DIRECTSYNC)
		return 0;
	if (flags >= 0 && fcntl(d->image, F_SETFL, flags | O_DIRECT) == 0 &&
	    fcntl(d->image, F_SETFL, flags) == 0)
		return 0;
	return ghvm_error_set(err, -EINVAL,
			      "%.*s.cache: %s: its file system has no O_DIRECT, which none and "
			      "directsync need",
			      (int)(strrchr(d->key, '.') - d->key), d->key, d->spec->image);
}

static int open_socket(const struct disk *d, struct ghvm_error *err)
{
	char path[PLACE_PATH];
	int fd;

	place_path(d->dir, d->vm, d->nth, PLACE_SOCKET, path);
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return ghvm_error_set(err, -errno, "%s: %s: %s", d->key, path, strerror(errno));
	return fd;
}

/* No two starts look for other users of an image at the same time: one of them finds the other's. */
static int take_place(const struct disk *d, struct ghvm_error *err)
{
	struct ghvm_error why = {};
	_cleanup_(closep) int lock = place_lock(d->dir, &why);
	int r;

	if (lock < 0)
		return ghvm_error_set(err, lock, "%s: %s", d->key, why.msg);
	r = use_check(d, lock, err);
	return r < 0 ? r : place_make(d, err);
}

static void stop_disk(const char *dir, const char *vm, unsigned int nth)
{
	if (!place_exists(dir, vm, nth))
		return;
	if (units_stop(vm, nth) < 0)
		fprintf(stderr, SD_WARNING "Cannot stop the storage daemon of disk %u\n", nth);
	place_remove(dir, vm, nth);
}

int disk_start(const struct disk *d, struct ghvm_error *err)
{
	int r = find_daemon(d, err), fd;

	if (r == 0)
		r = ghvm_disk_image_check(d->key, d->image, d->spec, err);
	if (r == 0)
		r = check_direct(d, err);
	if (r < 0)
		return r;
	stop_disk(d->dir, d->vm, d->nth);
	r = take_place(d, err);
	if (r == 0)
		r = units_start(d, err);
	fd = r == 0 ? open_socket(d, err) : r;
	if (fd < 0)
		stop_disk(d->dir, d->vm, d->nth);
	return fd;
}

static bool has_places(const char *dir, const char *vm)
{
	for (unsigned int i = 0; i < GHVM_SPEC_DISKS_MAX; i++)
		if (place_exists(dir, vm, i))
			return true;
	return false;
}

void disk_stop_all(const char *dir, const char *vm)
{
	int r;

	if (!has_places(dir, vm))
		return;
	r = disk_enter_host();
	if (r < 0)
		fprintf(stderr, SD_WARNING "Cannot reach the mounts of the host: %s\n",
			strerror(-r));
	for (unsigned int i = 0; i < GHVM_SPEC_DISKS_MAX; i++)
		stop_disk(dir, vm, i);
}
