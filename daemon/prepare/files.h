/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a descriptor names, opened as root and passed on read-only.
 */
#pragma once

#include "ghvm/error.h"

#define FILES_LOG_DIR "/var/log/gunyah"

/**
 * files_open() - an image
 * @key: of the descriptor, for the complaint
 *
 * No symbolic link is followed in the last part of @path, and nothing but a regular file is
 * opened, not even to see what it is. Return: a descriptor; -ENOENT, -ELOOP, -EINVAL and so on.
 */
int files_open(const char *key, const char *path, struct ghvm_error *err);

/**
 * files_open_log() - a log of a console, made if it is not there
 * @nth: 0: DIR/NAME.log, append only; others: DIR/NAME.log.NTH, for what is older
 *
 * The runner rotates (it may open nothing by itself), so it may read all of them.
 * Return: a descriptor; negative errno.
 */
int files_open_log(const char *dir, const char *name, unsigned int nth, struct ghvm_error *err);
