/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State files: "key value" lines, replaced by rename.
 *
 * They are ours, but a disk that is full or a crash may leave any of them in any state, so
 * they are read like input.
 */
#include "daemon/manager/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"

#define RECORD_MAX 1024
#define VERSION 1

/* An enum, in its own storage of the record. */
enum key {
	KEY_VERSION,
	KEY_NAME,
	KEY_VMID,
	KEY_INCARNATION,
	KEY_ON_REBOOT,
	KEY_ON_CRASH,
	KEY_STOP_TIMEOUT,
	KEY_DIGEST,
	KEY_COUNT
};

static const char *const key_names[KEY_COUNT] = {
	[KEY_VERSION] = "version",
	[KEY_NAME] = "name",
	[KEY_VMID] = "vmid",
	[KEY_INCARNATION] = "incarnation",
	[KEY_ON_REBOOT] = "on-reboot",
	[KEY_ON_CRASH] = "on-crash",
	[KEY_STOP_TIMEOUT] = "stop-timeout-ms",
	[KEY_DIGEST] = "digest",
};

static int print(const struct store_record *rec, char *buf, size_t cap)
{
	int n = snprintf(buf, cap,
			 "version %d\nname %s\nvmid %u\nincarnation %" PRIu64
			 "\non-reboot %u\non-crash %u\nstop-timeout-ms %u\ndigest %s\n",
			 VERSION, rec->name, rec->vmid, rec->incarnation, rec->on_reboot,
			 rec->on_crash, rec->stop_timeout_ms, rec->digest);

	return n < 0 || (size_t)n >= cap ? -EOVERFLOW : n;
}

static int write_file(int dir, const char *name, const char *text, size_t len)
{
	_cleanup_(closep) int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

int store_write(const char *dir, const struct store_record *rec)
{
	_cleanup_(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char text[RECORD_MAX], temporary[GHVM_NAME_SIZE + 8];
	int len, r;

	if (dirfd < 0)
		return -errno;
	len = print(rec, text, sizeof(text));
	if (len < 0)
		return len;
	(void)snprintf(temporary, sizeof(temporary), ".%s.new", rec->name); /* fits */
	r = write_file(dirfd, temporary, text, (size_t)len);
	if (r == 0 && renameat(dirfd, temporary, dirfd, rec->name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, temporary, 0); /* may not have come to be */
	return r;
}

static int read_file(const char *dir, const char *name, char *ret, size_t cap)
{
	_cleanup_(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closep) int fd =
		dirfd < 0 ? -1 : openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	n = read(fd, ret, cap - 1);
	if (n < 0)
		return -errno;
	if ((size_t)n == cap - 1 || memchr(ret, '\0', (size_t)n))
		return -EBADMSG;
	ret[n] = '\0';
	return 0;
}

/* Digits only: strtoull() would take blanks and signs. */
static int parse_number(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return -EBADMSG;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -EBADMSG;
	}
	if (v > max)
		return -EBADMSG;
	*ret = v;
	return 0;
}

static int parse_text(const char *s, char *ret, size_t cap)
{
	if (strlen(s) >= cap)
		return -EBADMSG;
	memcpy(ret, s, strlen(s) + 1);
	return 0;
}

static int parse_value(struct store_record *rec, enum key key, const char *value)
{
	static const uint64_t max[KEY_COUNT] = {
		[KEY_VERSION] = VERSION, [KEY_VMID] = UINT16_MAX, [KEY_INCARNATION] = UINT64_MAX,
		[KEY_ON_REBOOT] = 1,	 [KEY_ON_CRASH] = 1,	  [KEY_STOP_TIMEOUT] = UINT_MAX,
	};
	uint64_t v = 0;

	if (key == KEY_NAME)
		return parse_text(value, rec->name, sizeof(rec->name));
	if (key == KEY_DIGEST)
		return parse_text(value, rec->digest, sizeof(rec->digest));
	if (parse_number(value, max[key], &v) < 0)
		return -EBADMSG;
	if (key == KEY_VERSION)
		return v == VERSION ? 0 : -EBADMSG;
	if (key == KEY_VMID)
		rec->vmid = (uint16_t)v;
	else if (key == KEY_INCARNATION)
		rec->incarnation = v;
	else if (key == KEY_ON_REBOOT)
		rec->on_reboot = (unsigned int)v;
	else if (key == KEY_ON_CRASH)
		rec->on_crash = (unsigned int)v;
	else
		rec->stop_timeout_ms = (unsigned int)v;
	return 0;
}

static int parse_line(struct store_record *rec, char *line, unsigned int *seen)
{
	char *value = strchr(line, ' ');

	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	for (unsigned int i = 0; i < KEY_COUNT; i++) {
		if (strcmp(line, key_names[i]))
			continue;
		if (*seen & 1U << i)
			return -EBADMSG;
		*seen |= 1U << i;
		return parse_value(rec, (enum key)i, value);
	}
	return -EBADMSG;
}

int store_read(const char *dir, const char *name, struct store_record *ret)
{
	struct store_record rec = {};
	char text[RECORD_MAX], *line, *end;
	unsigned int seen = 0;
	int r;

	r = read_file(dir, name, text, sizeof(text));
	if (r < 0)
		return r;
	for (line = text; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			return -EBADMSG;
		*end = '\0';
		r = parse_line(&rec, line, &seen);
		if (r < 0)
			return r;
	}
	if (seen != (1U << KEY_COUNT) - 1 || strcmp(rec.name, name))
		return -EBADMSG;
	*ret = rec;
	return 0;
}

void store_remove(const char *dir, const char *name)
{
	_cleanup_(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dirfd >= 0)
		(void)unlinkat(dirfd, name, 0); /* it need not be there */
}
