/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State files, replaced by rename; record.c has their format.
 */
#include "daemon/manager/state/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"

/* Twice the size of an overlay in hexadecimal. */
#define RECORD_MAX (4 * GHVM_OVERLAY_MAX)

#define TEMPORARY_SIZE (GHVM_NAME_SIZE + 8)
#define TRIED_SIZE TEMPORARY_SIZE

static void temporary_name(char ret[TEMPORARY_SIZE], const char *name)
{
	(void)snprintf(ret, TEMPORARY_SIZE, ".%s.new", name); /* fits */
}

static void tried_name(char ret[TRIED_SIZE], const char *name)
{
	(void)snprintf(ret, TRIED_SIZE, ".%s.tried", name); /* fits */
}

int store_try(const char *dir, const char *name)
{
	_cleanup_(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	char tried[TRIED_SIZE];

	if (dirfd < 0)
		return -errno;
	tried_name(tried, name);
	fd = openat(dirfd, tried, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : 0;
}

void store_tried(const char *dir, const char *name)
{
	_cleanup_(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char tried[TRIED_SIZE];

	tried_name(tried, name);
	if (dirfd >= 0)
		(void)unlinkat(dirfd, tried, 0); /* may not exist */
}

static int write_file(int dir, const char *name, const char *text, size_t len)
{
	_cleanup_(closep) int fd = ghvm_file_create(dir, name);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = write(fd, text, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

int store_write(const char *dir, const struct store_record *rec)
{
	_cleanup_(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	char temporary[TEMPORARY_SIZE];
	int r;

	if (dirfd < 0)
		return -errno;
	text = store_print(rec);
	if (!text)
		return -ENOMEM;
	temporary_name(temporary, rec->name);
	r = write_file(dirfd, temporary, text, strlen(text));
	if (r == 0 && renameat(dirfd, temporary, dirfd, rec->name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, temporary, 0); /* may not exist */
	else
		store_tried(dir, rec->name); /* the mark was for the old record */
	return r;
}

static int read_file(const char *dir, const char *name, char **ret)
{
	_cleanup_(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closep) int fd = dirfd < 0 ? -errno : ghvm_file_open(dirfd, name);
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	if (fd < 0)
		return fd == -EINVAL ? -EBADMSG : fd; /* -EINVAL: not a regular file */
	r = ghvm_file_read(fd, RECORD_MAX, &text, &len);
	if (r < 0)
		return r == -EFBIG ? -EBADMSG : r;
	if (memchr(text, '\0', len))
		return -EBADMSG;
	*ret = TAKE_PTR(text);
	return 0;
}

int store_read(const char *dir, const char *name, struct store_record *ret)
{
	_cleanup_(freep) char *text = NULL;
	int r = read_file(dir, name, &text);

	return r < 0 ? r : store_parse(text, name, ret);
}

void store_remove(const char *dir, const char *name)
{
	_cleanup_(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char temporary[TEMPORARY_SIZE];

	if (dirfd < 0)
		return;
	temporary_name(temporary, name);
	(void)unlinkat(dirfd, name, 0);	     /* may not exist */
	(void)unlinkat(dirfd, temporary, 0); /* left by a manager that died while writing */
	store_tried(dir, name);
}
