/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening files under names that other users may manipulate.
 */
#pragma once

/**
 * ghvm_file_open() - open a regular file for reading
 * @dir: start of a relative @path, or AT_FDCWD
 * @path: its last part is not followed if it is a symbolic link
 *
 * The file is checked before it is opened: opening a FIFO waits for a writer, and opening a
 * device may act on it.
 *
 * Return: a descriptor, owned by the caller; -ELOOP a symbolic link; -EINVAL not a regular file;
 * another errno of open().
 */
int ghvm_file_open(int dir, const char *path);

/**
 * ghvm_file_create() - create an empty file for writing
 *
 * An existing file of that name is removed, not opened. Only the owner may read the new one.
 *
 * Return: a descriptor, owned by the caller; errno of open().
 */
int ghvm_file_create(int dir, const char *name);
