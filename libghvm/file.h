/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a file without being led astray.
 */
#pragma once

/**
 * ghvm_file_open() - a regular file, to be read
 * @dir: of a relative @path; AT_FDCWD
 * @path: its last part is not followed if it is a symbolic link
 *
 * It is looked at before it is opened: a FIFO would wait for a writer, and to open a device can be
 * to do something to it.
 *
 * Return: a descriptor, the caller's; -ELOOP a symbolic link; -EINVAL something else that is no
 * regular file; another errno of open().
 */
int ghvm_file_open(int dir, const char *path);

/**
 * ghvm_file_create() - an empty file, to be written
 *
 * Whatever has that name is removed, not opened. Only its owner may read it.
 *
 * Return: a descriptor, the caller's; errno of open().
 */
int ghvm_file_create(int dir, const char *name);
