/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The head of a qcow2 image (QEMU's docs/interop/qcow2.txt), as far as it decides whether the image is served.
 */
#include "libghvm/plan/disk-image.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

#define QCOW2_MAGIC 0x514649fbU /* "QFI\xfb" */
#define QCOW2_VERSION 4
#define QCOW2_BACKING_OFFSET 8
#define QCOW2_ENCRYPTION 32
#define QCOW2_HEADER_2 72 /* bytes of version 2 */
#define QCOW2_INCOMPATIBLE 72
#define QCOW2_CORRUPT (1ULL << 1)
#define QCOW2_DATA_FILE (1ULL << 2)

/* Numbers are big-endian. */
static uint32_t get_be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint64_t get_be64(const uint8_t *at)
{
	return (uint64_t)get_be32(at) << 32 | get_be32(at + 4);
}

static bool is_qcow2(const uint8_t *header, size_t n)
{
	return n >= 4 && get_be32(header) == QCOW2_MAGIC;
}

static const char *refuse_qcow2(const uint8_t *h, size_t n)
{
	const uint32_t version = n >= QCOW2_HEADER_2 ? get_be32(h + QCOW2_VERSION) : 0;
	uint64_t features;

	if (version != 2 && (version != 3 || n < GHVM_DISK_IMAGE_HEADER))
		return "is cut off, or of a version of qcow2 other than 2 and 3";
	if (get_be64(h + QCOW2_BACKING_OFFSET))
		return "has a backing file, which the storage daemon could not see; make one image "
		       "of both with qemu-img convert";
	if (get_be32(h + QCOW2_ENCRYPTION))
		return "is encrypted, and there is no key for the secret";
	features = version == 3 ? get_be64(h + QCOW2_INCOMPATIBLE) : 0;
	if (features & QCOW2_DATA_FILE)
		return "has its data in another file, which the storage daemon could not see; make "
		       "one image of both with qemu-img convert";
	if (features & QCOW2_CORRUPT)
		return "is marked as corrupt; see qemu-img check";
	return NULL;
}

const char *ghvm_disk_image_refuse(enum ghvm_disk_format format, const uint8_t *header, size_t n,
				   uint64_t size, const char **ret_why)
{
	if (format == GHVM_DISK_QCOW2 && !is_qcow2(header, n)) {
		*ret_why = "qcow2, but the image does not begin as one does";
		return "format";
	}
	if (format == GHVM_DISK_QCOW2) {
		*ret_why = refuse_qcow2(header, n);
		return *ret_why ? "image" : NULL;
	}
	if (is_qcow2(header, n)) {
		*ret_why =
			"raw, but the image begins as one of qcow2 does: if the guest wrote that "
			"itself, do not change the format, or it chooses how the file is read";
		return "format";
	}
	*ret_why = size < SECTOR ? "has less than the 512 bytes of a sector" : NULL;
	return *ret_why ? "image" : NULL;
}

/* The message begins with the key that is wrong: @image, or a key beside it. */
static int set_error(const char *image, const char *key, const char *path, const char *why,
		     struct ghvm_error *err)
{
	const char *dot = strrchr(image, '.');

	if (!strcmp(key, "image"))
		return ghvm_error_set(err, -EINVAL, "%s: %s: %s", image, path, why);
	return ghvm_error_set(err, -EINVAL, "%.*s.%s: %s: %s",
			      dot ? (int)(dot - image) : (int)strlen(image), image, key, path, why);
}

int ghvm_disk_image_check(const char *key, int fd, const struct ghvm_spec_disk *disk,
			  struct ghvm_error *err)
{
	uint8_t header[GHVM_DISK_IMAGE_HEADER];
	const char *why = NULL, *wrong;
	struct stat st;
	ssize_t n = pread(fd, header, sizeof(header), 0);

	if (n < 0 || fstat(fd, &st) < 0)
		return ghvm_error_set(err, -errno, "%s: %s: %s", key, disk->image, strerror(errno));
	if (!disk->readonly && !(st.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)))
		return ghvm_error_set(err, -EACCES,
				      "%s: %s: its mode lets no one write it; the guest may read "
				      "it with readonly: true",
				      key, disk->image);
	wrong = ghvm_disk_image_refuse(disk->format, header, (size_t)n, (uint64_t)st.st_size, &why);
	return wrong ? set_error(key, wrong, disk->image, why, err) : 0;
}
