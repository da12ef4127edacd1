/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-storage-daemon(1): a file, its format, and the export.
 */
#include "daemon/prepare/disk/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

static const char *word(bool value)
{
	return value ? "true" : "false";
}

/* What both nodes of the image have in common. */
static int write_node(int fd, const struct ghvm_spec_disk *d)
{
	const enum ghvm_disk_cache cache = ghvm_spec_disk_cache(d);
	const bool direct = cache == GHVM_CACHE_NONE || cache == GHVM_CACHE_DIRECTSYNC;

	return dprintf(fd,
		       "\"read-only\":%s,\"discard\":\"%s\",\"cache\":{\"direct\":%s,"
		       "\"no-flush\":%s}",
		       word(d->readonly), d->discard ? "unmap" : "ignore", word(direct),
		       word(cache == GHVM_CACHE_UNSAFE));
}

static int write_export(int fd, const struct ghvm_spec_disk *d)
{
	const enum ghvm_disk_cache cache = ghvm_spec_disk_cache(d);
	const bool through = cache == GHVM_CACHE_WRITETHROUGH || cache == GHVM_CACHE_DIRECTSYNC;

	return dprintf(
		fd,
		"EXPORT='{\"type\":\"vhost-user-blk\",\"id\":\"disk\",\"node-name\":\"disk\","
		"\"writable\":%s,\"writethrough\":%s,\"num-queues\":%u,"
		"\"addr\":{\"type\":\"fd\",\"str\":\"3\"}}'\n",
		word(!d->readonly), word(through), d->queues ?: 1);
}

/* A qcow2 image without a backing file, whatever its head says by then. */
int options_write(const struct ghvm_spec_disk *disk, int fd)
{
	const bool qcow2 = disk->format == GHVM_DISK_QCOW2;

	if (dprintf(fd, "FILE='{\"driver\":\"file\",\"node-name\":\"file\",\"filename\":\"%s\",",
		    OPTIONS_IMAGE) < 0 ||
	    write_node(fd, disk) < 0 ||
	    dprintf(fd, "}'\nDISK='{\"driver\":\"%s\",\"node-name\":\"disk\",\"file\":\"file\",%s",
		    qcow2 ? "qcow2" : "raw", qcow2 ? "\"backing\":null," : "") < 0 ||
	    write_node(fd, disk) < 0 || dprintf(fd, "}'\n") < 0 || write_export(fd, disk) < 0)
		return -errno;
	return 0;
}
