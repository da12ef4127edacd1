/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image of a disk must look like: its first bytes against what its descriptor says of it.
 *
 * The format is never taken from the image: a guest can write there what it wants.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ghvm/error.h"
#include "ghvm/spec.h"

#define GHVM_DISK_IMAGE_HEADER 104 /* bytes that are looked at */

/**
 * ghvm_disk_image_refuse() - why a storage daemon must not get this image
 * @header: its first @n bytes, at most GHVM_DISK_IMAGE_HEADER; not trusted
 * @size: of the file
 *
 * An image that names other files is refused, as the storage daemon sees this one alone. Return: the key of a disk that
 * the reason is about, with the reason in @ret_why; NULL: none. Both static.
 */
const char *ghvm_disk_image_refuse(enum ghvm_disk_format format, const uint8_t *header, size_t n,
				   uint64_t size, const char **ret_why);

/**
 * ghvm_disk_image_check() - the same for a file
 * @key: of the image in the descriptor, "devices[N].disk.image"
 * @fd: open for reading, borrowed
 * @disk: what the descriptor says
 *
 * An image that no one may write by its mode is refused to a disk that is not readonly, as root could write it all the
 * same. Return: 0; -EINVAL; -EACCES; another errno, that of reading. The message begins with a key.
 */
int ghvm_disk_image_check(const char *key, int fd, const struct ghvm_spec_disk *disk,
			  struct ghvm_error *err);
