/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rotation, write errors, and lines for the journal.
 */
#include "daemon/runner/base/console-log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "libghvm/base/cleanup.h"

#define COPY 32768
#define QUIET_MS 60000 /* between two messages, because the guest controls how often errors occur */
#define JOURNAL_RETRY_MS 50

static const char line_head[] = SD_INFO "guest: ";

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void console_log_init(struct console_log *l, int fds[GHVM_SPEC_LOGS_MAX], uint64_t size,
		      int journal)
{
	struct stat st;

	*l = (struct console_log){
		.size = size,
		.journal = journal,
		.retry_ms = CONSOLE_LOG_RETRY_MS,
	};
	for (size_t i = 0; i < GHVM_SPEC_LOGS_MAX; i++) {
		l->fds[i] = TAKE_FD(fds[i]);
		if (l->fds[i] >= 0 && l->n == i)
			l->n++;
	}
	if (l->n && fstat(l->fds[0], &st) == 0 && S_ISREG(st.st_mode)) {
		l->regular = true;
		l->at = (uint64_t)st.st_size;
	}
}

bool console_log_wanted(const struct console_log *l)
{
	return l->n || l->journal >= 0;
}

void console_log_lose(struct console_log *l, uint64_t n)
{
	l->lost += n;
}

int console_log_timeout(const struct console_log *l)
{
	uint64_t now = now_ms();

	if (!l->retry_at)
		return -1;
	return l->retry_at > now ? (int)(l->retry_at - now) : 0;
}

void console_log_hurry(struct console_log *l)
{
	if (l->retry_at)
		l->retry_at = 1;
}

/* --- errors --- */

static void trouble(struct console_log *l, int error)
{
	uint64_t now = now_ms();

	l->retry_at = now + l->retry_ms;
	if (l->told || (l->said_at && now - l->said_at < QUIET_MS))
		return;
	l->told = true;
	l->said_at = now;
	fprintf(stderr, SD_WARNING "Console log: %s; trying again every second\n", strerror(error));
}

static void no_trouble(struct console_log *l, uint64_t lost)
{
	l->retry_at = 0;
	if (!l->told)
		return;
	l->told = false;
	fprintf(stderr, SD_NOTICE "Console log: writing again, %" PRIu64 " bytes lost\n", lost);
}

/* --- files --- */

/* Move at most the last @max bytes of @from. Bytes that cannot be copied are lost. */
static void move_contents(int from, int to, uint64_t max)
{
	uint8_t buf[COPY];
	struct stat st;
	ssize_t n;
	off_t at;

	if (ftruncate(to, 0) < 0 || fstat(from, &st) < 0)
		return;
	at = (uint64_t)st.st_size > max ? st.st_size - (off_t)max : 0;
	for (off_t out = 0;; at += n, out += n) {
		n = pread(from, buf, sizeof(buf), at);
		if (n <= 0 || pwrite(to, buf, (size_t)n, out) != n)
			return;
	}
}

static void rotate(struct console_log *l)
{
	for (size_t i = l->n - 1; i > 0; i--)
		move_contents(l->fds[i - 1], l->fds[i], l->size);
	if (ftruncate(l->fds[0], 0) == 0)
		l->at = 0;
}

/* Return: bytes written; negative errno. */
static ssize_t append_log(struct console_log *l, const void *buf, size_t n)
{
	ssize_t w;

	if (l->regular && l->at && l->at + n > l->size)
		rotate(l);
	if (l->regular && l->at && l->at + n > l->size)
		return -EFBIG; /* the file could not be emptied */
	w = write(l->fds[0], buf, n);
	if (w < 0)
		return -errno;
	l->at += (uint64_t)w;
	return w;
}

static int write_lost(struct console_log *l)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "\n[%" PRIu64 " bytes lost]\n", l->lost);
	ssize_t w = append_log(l, text, (size_t)n);

	return w < 0 ? (int)w : 0;
}

static size_t write_file(struct console_log *l, const uint8_t *buf, size_t n)
{
	uint64_t lost = l->lost;
	ssize_t w = lost ? write_lost(l) : 0;

	if (w >= 0) {
		l->lost = 0;
		w = append_log(l, buf, n);
	}
	if (w == -EINTR)
		return 0;
	if (w <= 0) {
		l->lost = lost;
		trouble(l, w < 0 ? (int)-w : ENOSPC);
		return 0;
	}
	no_trouble(l, lost);
	return (size_t)w;
}

/* --- the journal --- */

/* Does not block: the journal may be as slow as a disk. */
static ssize_t write_journal(const struct console_log *l)
{
	const char *at = l->line + l->line_done;
	size_t n = l->line_n - l->line_done;
	ssize_t w = send(l->journal, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (w < 0 && errno == ENOTSOCK) /* not run by systemd */
		w = write(l->journal, at, n);
	return w;
}

/* Return: the line is written. */
static bool end_line(struct console_log *l)
{
	ssize_t w;

	if (!l->line_whole) {
		l->line[l->line_n++] = '\n';
		l->line_whole = true;
	}
	while (l->line_done < l->line_n) {
		w = write_journal(l);
		if (w <= 0) {
			l->retry_at = now_ms() + JOURNAL_RETRY_MS;
			return false;
		}
		l->line_done += (size_t)w;
	}
	l->line_n = l->line_done = 0;
	l->line_whole = false;
	l->retry_at = 0;
	return true;
}

static void begin_line(struct console_log *l)
{
	int n = (int)strlen(line_head);

	memcpy(l->line, line_head, (size_t)n);
	if (l->lost)
		n += snprintf(l->line + n, sizeof(l->line) - (size_t)n, "[%" PRIu64 " bytes lost] ",
			      l->lost);
	l->lost = 0;
	l->line_n = (size_t)n;
}

/* Replace control characters: the journal is read on a terminal, which the guest must not control. */
static char harmless(uint8_t c)
{
	return (c < ' ' && c != '\t') || c == 0x7f ? '?' : (char)c;
}

static size_t write_lines(struct console_log *l, const uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (l->line_whole && !end_line(l))
			return i;
		if (buf[i] == '\r')
			continue;
		if (!l->line_n)
			begin_line(l);
		if (buf[i] != '\n')
			l->line[l->line_n++] = harmless(buf[i]);
		if ((buf[i] == '\n' || l->line_n == sizeof(l->line) - 1) && !end_line(l))
			return i + 1;
	}
	return n;
}

size_t console_log_write(struct console_log *l, const uint8_t *buf, size_t n)
{
	if (console_log_timeout(l) > 0)
		return 0;
	return l->n ? write_file(l, buf, n) : write_lines(l, buf, n);
}

void console_log_done(struct console_log *l)
{
	if (l->line_n && !l->n)
		(void)end_line(l); /* once, as the runner exits */
	for (size_t i = 0; i < l->n; i++)
		closep(&l->fds[i]);
	*l = (struct console_log){ .journal = -1 };
}
