/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel with CONFIG_IKCONFIG has its configuration as gzip data behind the text "IKCFG_ST", at any place.
 */
#include "daemon/ctl/kernel/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "libghvm/base/cleanup.h"

#define MAGIC_SIZE (sizeof(magic) - 1)
#define PIECE_SIZE KERNEL_CONFIG_MAX /* of the image, read at a time */
#define GZIP_ONLY (16 + MAX_WBITS)

static const char magic[] = "IKCFG_ST\x1f\x8b"; /* with the first bytes of gzip data */
static const size_t gzip_at = 8;

/* Read up to @size bytes; fewer at the end of the file only. */
static ssize_t read_piece(int fd, uint8_t *buf, size_t size, off_t at)
{
	size_t got = 0;
	ssize_t n = 1;

	while (got < size && n > 0) {
		n = pread(fd, buf + got, size - got, at + (off_t)got);
		if (n < 0)
			return -errno;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* Return: 1, with the place of the gzip data; 0 there is none; negative errno. */
static int find_data(int fd, uint8_t *piece, off_t *ret)
{
	const uint8_t *found;
	off_t at = 0;
	ssize_t n;

	for (;;) {
		n = read_piece(fd, piece, PIECE_SIZE, at);
		if (n < (ssize_t)MAGIC_SIZE)
			return n < 0 ? (int)n : 0;
		found = memmem(piece, (size_t)n, magic, MAGIC_SIZE);
		if (found) {
			*ret = at + (found - piece) + (off_t)gzip_at;
			return 1;
		}
		at += n - (off_t)MAGIC_SIZE + 1; /* it may be half in the next piece */
	}
}

/* @ret: KERNEL_CONFIG_MAX bytes and one. Return: 0; -EBADMSG; -ENOMEM. */
static int unpack(uint8_t *data, size_t n, char *ret)
{
	z_stream z = {
		.next_in = data,
		.avail_in = (uInt)n,
		.next_out = (uint8_t *)ret,
		.avail_out = KERNEL_CONFIG_MAX,
	};
	int r;

	if (inflateInit2(&z, GZIP_ONLY) != Z_OK)
		return -ENOMEM;
	r = inflate(&z, Z_FINISH); /* in one call, as all of it fits or it is refused */
	ret[z.total_out] = '\0';
	(void)inflateEnd(&z); /* the stream is valid */
	return r == Z_STREAM_END ? 0 : r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

int kernel_config_read(int fd, char **ret)
{
	_cleanup_(freep) uint8_t *piece = malloc(PIECE_SIZE);
	_cleanup_(freep) char *text = malloc(KERNEL_CONFIG_MAX + 1);
	ssize_t n;
	off_t at = 0;
	int r;

	if (!piece || !text)
		return -ENOMEM;
	r = find_data(fd, piece, &at);
	if (r <= 0)
		return r;
	n = read_piece(fd, piece, PIECE_SIZE, at);
	if (n < 0)
		return (int)n;
	r = unpack(piece, (size_t)n, text);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(text);
	return 1;
}

/* Return: 0; -ENAMETOOLONG. */
static int name_beside(const char *path, char ret[PATH_MAX])
{
	static const char prefix[] = "vmlinuz-";
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int n;

	if (strncmp(name, prefix, sizeof(prefix) - 1))
		n = snprintf(ret, PATH_MAX, "%s.config", path);
	else
		n = snprintf(ret, PATH_MAX, "%.*sconfig-%s", (int)(name - path), path,
			     name + sizeof(prefix) - 1);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Return: 1; 0 there is no such file; -EFBIG; another errno. */
static int read_beside(const char *path, char **ret)
{
	/* not to wait for a pipe */
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_(freep) char *text = malloc(KERNEL_CONFIG_MAX + 1);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!text)
		return -ENOMEM;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	n = read_piece(fd, (uint8_t *)text, KERNEL_CONFIG_MAX + 1, 0);
	if (n < 0 || n > KERNEL_CONFIG_MAX)
		return n < 0 ? (int)n : -EFBIG;
	text[n] = '\0';
	*ret = TAKE_PTR(text);
	return 1;
}

int kernel_config_find(const char *path, int fd, char **ret, struct ghvm_error *err)
{
	char beside[PATH_MAX];
	int r = kernel_config_read(fd, ret);

	if (r < 0)
		return ghvm_error_set(err, r,
				      "kernel.image: cannot read the configuration inside '%s': %s",
				      path, strerror(-r));
	if (r > 0 || name_beside(path, beside) < 0)
		return r;
	r = read_beside(beside, ret);
	if (r < 0)
		return ghvm_error_set(
			err, r, "kernel.image: cannot read the kernel's configuration '%s': %s",
			beside, strerror(-r));
	return r;
}

bool kernel_config_has(const char *config, const char *option)
{
	static const char prefix[] = "CONFIG_";
	const size_t len = strlen(option);

	for (const char *line = config; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, prefix, sizeof(prefix) - 1))
			continue;
		line += sizeof(prefix) - 1;
		if (!strncmp(line, option, len) && line[len] == '=' &&
		    (line[len + 1] == 'y' || line[len + 1] == 'm'))
			return true;
	}
	return false;
}
