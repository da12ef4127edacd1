/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files under names that are not trusted, and small files read whole.
 *
 * A file is opened in two steps: O_PATH finds the file without opening it; once checked, the same file is
 * opened through /proc/self/fd, whatever its name refers to by then.
 */
#include "libghvm/base/file.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS_WANTED (F_SEAL_SHRINK | F_SEAL_WRITE)
#define SEALS_ALL (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int open_for(int dir, const char *path, int access)
{
	_cleanup_(closep) int found = openat(dir, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char number[64];
	struct stat st;
	int fd;

	if (found < 0 || fstat(found, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) /* O_PATH | O_NOFOLLOW opens links */
		return -ELOOP;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	(void)snprintf(number, sizeof(number), "/proc/self/fd/%d", found); /* fits */
	fd = open(number, access | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int ghvm_file_open(int dir, const char *path)
{
	return open_for(dir, path, O_RDONLY);
}

/* ---- symbolic links of root's ---- */

#define LINKS_MAX 40 /* as the kernel */

/**
 * struct walk - along a path, part by part
 * @done: without links; "" is the root folder
 * @rest: to be walked, from the next part on
 */
struct walk {
	char done[PATH_MAX];
	char rest[PATH_MAX];
	unsigned int links;
};

/* A link has the mode 0777, and cannot be written. In a sticky folder other users cannot replace root's files. */
static bool is_of_root(const struct stat *st)
{
	if (st->st_uid != 0)
		return false;
	return S_ISLNK(st->st_mode) || (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX)) ||
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* Remove the first part of @w->rest. Return: 1: @ret is it; 0: there is none; -ENAMETOOLONG. */
static int next_part(struct walk *w, char ret[NAME_MAX + 1])
{
	const size_t before = strspn(w->rest, "/");
	const size_t n = strcspn(w->rest + before, "/");

	if (!n || n > NAME_MAX)
		return n ? -ENAMETOOLONG : 0;
	memcpy(ret, w->rest + before, n);
	ret[n] = '\0';
	memmove(w->rest, w->rest + before + n, strlen(w->rest + before + n) + 1);
	return 1;
}

/* @w->done is a link: its target takes the place of it. */
static int follow_link(struct walk *w)
{
	char target[PATH_MAX], rest[PATH_MAX];
	const ssize_t n = readlink(w->done, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	target[n] = '\0';
	if ((size_t)snprintf(rest, sizeof(rest), "%s/%s", target, w->rest) >= sizeof(rest))
		return -ENAMETOOLONG;
	memcpy(w->rest, rest, sizeof(rest));
	*(*target == '/' ? w->done : strrchr(w->done, '/')) = '\0';
	return 0;
}

static int enter_part(struct walk *w, const char *part)
{
	const size_t n = strlen(w->done);
	struct stat st;

	if (!strcmp(part, ".."))
		*(n ? strrchr(w->done, '/') : w->done) = '\0';
	if (!strcmp(part, "..") || !strcmp(part, "."))
		return 0;
	if ((size_t)snprintf(w->done + n, sizeof(w->done) - n, "/%s", part) >= sizeof(w->done) - n)
		return -ENAMETOOLONG;
	if (lstat(w->done, &st) < 0)
		return -errno;
	if (!is_of_root(&st))
		return -EPERM;
	return S_ISLNK(st.st_mode) ? follow_link(w) : 0;
}

int ghvm_file_follow(const char *path, char *ret)
{
	char part[NAME_MAX + 1];
	struct walk w = {};
	int r;

	if ((size_t)snprintf(w.rest, sizeof(w.rest), "%s", path) >= sizeof(w.rest))
		return -ENAMETOOLONG;
	while ((r = next_part(&w, part)) > 0) {
		r = enter_part(&w, part);
		if (r < 0)
			break;
	}
	memcpy(ret, w.done, sizeof(w.done));
	return r;
}

int ghvm_file_open_root(const char *path, int access)
{
	char file[PATH_MAX];
	int fd = open_for(AT_FDCWD, path, access);

	if (fd != -ELOOP)
		return fd;
	return ghvm_file_follow(path, file) < 0 ? -ELOOP : open_for(AT_FDCWD, file, access);
}

int ghvm_file_create(int dir, const char *name)
{
	int fd;

	(void)unlinkat(dir, name, 0); /* may not exist */
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static ssize_t read_at(int fd, char *to, size_t n, size_t at)
{
	ssize_t r;

	do {
		r = pread(fd, to, n, (off_t)at);
		if (r < 0 && errno == ESPIPE)
			r = read(fd, to, n);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int ghvm_file_read(int fd, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_(freep) char *buf = malloc(max + 1);
	size_t len = 0;
	ssize_t n;
	char *fit;

	if (!buf)
		return -ENOMEM;
	while ((n = read_at(fd, buf + len, max + 1 - len, len)) > 0) {
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
	if (n < 0)
		return (int)n;
	buf[len] = '\0';
	fit = realloc(buf, len + 1); /* smaller, so if it fails the old block is as good */
	*ret = fit ? fit : buf;
	(void)TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

char *ghvm_file_text(FILE *f, char **text)
{
	const bool bad = ferror(f);

	if (fclose(f) == 0 && !bad)
		return *text;
	free(*text);
	return NULL;
}

int ghvm_file_seal(const char *name, const void *bytes, size_t len)
{
	_cleanup_(closep) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const char *at = bytes;
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (; len; at += n, len -= (size_t)n) {
		n = write(fd, at, len);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	if (lseek(fd, 0, SEEK_SET) < 0 || fcntl(fd, F_ADD_SEALS, SEALS_ALL) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static const char *refuse_fd(int fd)
{
	const int flags = fcntl(fd, F_GETFL), seals = fcntl(fd, F_GET_SEALS);

	if (flags < 0 || flags & O_PATH)
		return "not an open file (O_PATH)";
	if (seals < 0 || (seals & SEALS_WANTED) != SEALS_WANTED)
		return "not a memfd sealed against shrinking and writing";
	if ((flags & O_ACCMODE) == O_WRONLY)
		return "not open for reading";
	return NULL;
}

int ghvm_file_sealed(int fd, uint64_t max, uint64_t *ret_size, struct ghvm_error *err)
{
	const char *why = refuse_fd(fd);
	struct stat st;

	if (why)
		return ghvm_error_set(err, -EBADF, "%s", why);
	if (fstat(fd, &st) < 0)
		return ghvm_error_set(err, -EBADF, "%s", strerror(errno));
	if ((uint64_t)st.st_size > max)
		return ghvm_error_set(err, -EDQUOT, "longer than %" PRIu64 " bytes", max);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}
