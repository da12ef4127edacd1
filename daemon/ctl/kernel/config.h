/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration of a kernel: inside its image (CONFIG_IKCONFIG), or in a file beside it.
 */
#pragma once

#include "ghvm/error.h"

#include <stdbool.h>

#define KERNEL_CONFIG_MAX 0x100000 /* bytes of it as text, and packed */

/**
 * kernel_config_read() - read the configuration inside of an image
 * @fd: the image; not trusted
 * @ret: owned, NUL-terminated
 *
 * Return: 1; 0 there is none; -EBADMSG it cannot be unpacked, or is longer than KERNEL_CONFIG_MAX; -ENOMEM;
 * errno of read().
 */
int kernel_config_read(int fd, char **ret);

/**
 * kernel_config_find() - the same, of a file beside the image in the second place
 * @path: of the image: the file beside DIR/vmlinuz-X is DIR/config-X, of any other IMAGE.config
 *
 * Return: 1; 0 there is none; negative errno, with a message.
 */
int kernel_config_find(const char *path, int fd, char **ret, struct ghvm_error *err);

/* Is @option, without "CONFIG_", built in or a module? */
bool kernel_config_has(const char *config, const char *option);
