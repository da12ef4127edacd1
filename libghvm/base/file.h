/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening files under names that other users may manipulate, and reading small ones whole.
 */
#pragma once

#include "ghvm/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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
 * ghvm_file_follow() - the file that a symbolic link of root's names, as /vmlinuz does
 * @path: absolute
 * @ret: PATH_MAX bytes. 0: the same file, by a path without links. -EPERM: the part of @path, or of a target, that
 *       does not belong to root, or that others may write in
 *
 * Each folder, each link and the file itself have to be root's, so that no other user can make another file of it
 * between this call and the next. Return: 0; -EPERM; -ELOOP more than 40 links; -ENAMETOOLONG; errno of lstat().
 */
int ghvm_file_follow(const char *path, char *ret);

/**
 * ghvm_file_open_root() - as ghvm_file_open(), but a symbolic link is followed as ghvm_file_follow() does
 * @access: O_RDONLY or O_RDWR
 *
 * Return: as ghvm_file_open(); -ELOOP a link that is not followed.
 */
int ghvm_file_open_root(const char *path, int access);

/**
 * ghvm_file_create() - create an empty file for writing
 *
 * An existing file of that name is removed, not opened. Only the owner may read the new one.
 *
 * Return: a descriptor, owned by the caller; errno of open().
 */
int ghvm_file_create(int dir, const char *name);

/**
 * ghvm_file_read() - read a whole small file
 * @fd: a file is read from its start, and its offset stays; a pipe or a terminal to its end
 * @max: bytes
 * @ret: owned by the caller, free(); a NUL follows its last byte
 * @ret_len: bytes without that NUL
 *
 * Return: 0; -EFBIG more than @max; -ENOMEM; errno of read().
 */
int ghvm_file_read(int fd, size_t max, char **ret, size_t *ret_len);

/**
 * ghvm_file_text() - close a stream of open_memstream()
 * @text: the buffer that it was opened with
 *
 * Return: the text, owned by the caller; NULL: something could not be written, for lack of memory.
 */
char *ghvm_file_text(FILE *f, char **text);

/**
 * ghvm_file_seal() - make a memfd of which no process can change the bytes
 * @name: shown in /proc
 *
 * Return: a descriptor at its start, owned by the caller; errno.
 */
int ghvm_file_seal(const char *name, const void *bytes, size_t len);

/**
 * ghvm_file_sealed() - is @fd a memfd, open for reading, of which no process can change the bytes?
 * @max: bytes that it may have
 *
 * A memfd is in memory, so neither this question nor reading it can block.
 *
 * Return: 0; -EBADF it is not; -EDQUOT too big. With the reason, which does not name the file.
 */
int ghvm_file_sealed(int fd, uint64_t max, uint64_t *ret_size, struct ghvm_error *err);
