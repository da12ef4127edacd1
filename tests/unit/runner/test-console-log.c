/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of a console: what the disk holds at most, in which order, and the journal's lines.
 */
#include "daemon/runner/base/console-log.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE GHVM_LOG_UNIT

static const int none[GHVM_SPEC_LOGS_MAX] = { -1, -1, -1, -1, -1, -1, -1, -1 };

struct bench {
	struct console_log log;
	int files[GHVM_SPEC_LOGS_MAX]; /* our copies */
};

static void make(struct bench *b, size_t n)
{
	int fds[GHVM_SPEC_LOGS_MAX];

	memcpy(fds, none, sizeof(fds));
	memcpy(b->files, none, sizeof(fds));
	for (size_t i = 0; i < n; i++) {
		b->files[i] = memfd_create("log", MFD_CLOEXEC);
		fds[i] = dup(b->files[i]);
	}
	assert_int_equal(fcntl(fds[0], F_SETFL, O_APPEND), 0);
	console_log_init(&b->log, fds, SIZE, -1);
	b->log.retry_ms = 20;
}

static void done(struct bench *b)
{
	console_log_done(&b->log);
	for (size_t i = 0; i < GHVM_SPEC_LOGS_MAX; i++)
		closep(&b->files[i]);
}

/* Lines of 16 bytes that are numbered. */
static void write_lines(struct bench *b, unsigned int first, unsigned int n)
{
	char line[17];

	for (unsigned int i = first; i < first + n; i++) {
		snprintf(line, sizeof(line), "line %10u\n", i);
		assert_int_equal(console_log_write(&b->log, (uint8_t *)line, 16), 16);
	}
}

static unsigned int first_line(int fd)
{
	char line[17] = "";

	assert_int_equal(pread(fd, line, 16, 0), 16);
	return (unsigned int)atoi(line + 5);
}

static off_t size_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

#define LINES (SIZE / 16)

static void files_take_turns(void **state)
{
	_cleanup_(done) struct bench b;

	make(&b, 3);
	write_lines(&b, 0, LINES);
	assert_int_equal(size_of(b.files[0]), SIZE);
	assert_int_equal(size_of(b.files[1]), 0);
	write_lines(&b, LINES, 1);
	assert_int_equal(size_of(b.files[0]), 16);
	assert_int_equal(size_of(b.files[1]), SIZE);
	write_lines(&b, LINES + 1, 20 * LINES); /* however much there is */
	assert_int_equal(first_line(b.files[0]), 21 * LINES);
	assert_int_equal(first_line(b.files[1]), 20 * LINES);
	assert_int_equal(first_line(b.files[2]), 19 * LINES);
	assert_int_equal(size_of(b.files[1]), SIZE);
	assert_int_equal(size_of(b.files[2]), SIZE);
}

static void one_file_begins_anew(void **state)
{
	_cleanup_(done) struct bench b;

	make(&b, 1);
	write_lines(&b, 0, 5 * LINES + 7);
	assert_int_equal(size_of(b.files[0]), 7 * 16);
	assert_int_equal(first_line(b.files[0]), 5 * LINES);
}

/* Of one that is far too big, since it was allowed to be, the end is kept. */
static void a_log_of_earlier_times(void **state)
{
	_cleanup_(done) struct bench b;
	int fds[GHVM_SPEC_LOGS_MAX];

	make(&b, 2);
	assert_int_equal(ftruncate(b.files[0], GHVM_GIB(64)), 0); /* nothing but a hole */
	assert_int_equal(pwrite(b.files[0], "the end", 7, GHVM_GIB(64)), 7);
	memcpy(fds, b.log.fds, sizeof(fds));
	console_log_init(&b.log, fds, SIZE, -1);
	write_lines(&b, 0, 1);
	assert_int_equal(size_of(b.files[0]), 16);
	assert_int_equal(size_of(b.files[1]), SIZE);
}

static void a_disk_that_is_full_for_a_while(void **state)
{
	_cleanup_(done) struct bench b;
	uint8_t c = 'x';
	char text[64] = "";
	int good;

	make(&b, 1);
	good = dup(b.log.fds[0]);
	b.log.regular = false; /* as the one that takes its place */
	assert_int_equal(dup3(open("/dev/full", O_WRONLY | O_CLOEXEC), b.log.fds[0], O_CLOEXEC),
			 b.log.fds[0]);
	assert_int_equal(console_log_write(&b.log, &c, 1), 0);
	assert_in_range(console_log_timeout(&b.log), 1, 20);
	assert_int_equal(console_log_write(&b.log, &c, 1), 0);
	assert_true(b.log.told);
	console_log_lose(&b.log, 5);
	(void)poll(NULL, 0, 25);
	assert_int_equal(console_log_write(&b.log, &c, 1), 0); /* still full */
	console_log_lose(&b.log, 2);
	assert_int_equal(dup3(good, b.log.fds[0], O_CLOEXEC), b.log.fds[0]);
	close(good);
	console_log_hurry(&b.log);
	assert_int_equal(console_log_write(&b.log, &c, 1), 1);
	assert_int_equal(console_log_timeout(&b.log), -1);
	assert_int_equal(pread(b.files[0], text, sizeof(text), 0), 17);
	assert_string_equal(text, "\n[7 bytes lost]\nx");
}

/* --- the journal --- */

static size_t say(struct console_log *l, const char *text)
{
	return console_log_write(l, (const uint8_t *)text, strlen(text));
}

static void expect(int fd, const char *text)
{
	char buf[4096] = "";
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	assert_string_equal(buf, text);
}

static void lines_go_to_the_journal(void **state)
{
	int fds[GHVM_SPEC_LOGS_MAX], pair[2];
	struct console_log l;

	memcpy(fds, none, sizeof(fds));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	console_log_init(&l, fds, SIZE, pair[0]);
	assert_true(console_log_wanted(&l));
	assert_int_equal(say(&l, "Linux ver"), 9);
	assert_int_equal(recv(pair[1], fds, 1, MSG_DONTWAIT), -1); /* not yet a line */
	assert_int_equal(say(&l, "sion 6.1\r\n<0>\033[31mred\tx\177\n"), 25);
	expect(pair[1], "<6>guest: Linux version 6.1\n<6>guest: <0>?[31mred\tx?\n");
	console_log_lose(&l, 9);
	assert_int_equal(say(&l, "the last"), 8);
	console_log_done(&l);
	expect(pair[1], "<6>guest: [9 bytes lost] the last\n");
	close(pair[0]);
	close(pair[1]);
}

/* A journal that does not read stops nothing, and what it gets is whole. */
static void a_journal_that_is_busy(void **state)
{
	int fds[GHVM_SPEC_LOGS_MAX], pair[2];
	struct console_log l;
	size_t sent = 0, got = 0;
	char buf[4096];
	ssize_t n;

	memcpy(fds, none, sizeof(fds));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	console_log_init(&l, fds, SIZE, pair[0]);
	while (console_log_timeout(&l) < 0)
		sent += say(&l, "0123456789\n") == 11;
	assert_int_equal(say(&l, "not yet\n"), 0);
	while ((n = recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	console_log_hurry(&l);
	assert_int_equal(say(&l, "and on\n"), 7);
	while ((n = recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	assert_int_equal(got, (sent + 1) * strlen("<6>guest: 0123456789\n") - strlen("0123456789") +
				      strlen("and on"));
	console_log_done(&l);
	close(pair[0]);
	close(pair[1]);
}

static void no_log_at_all(void **state)
{
	int fds[GHVM_SPEC_LOGS_MAX];
	struct console_log l;

	memcpy(fds, none, sizeof(fds));
	console_log_init(&l, fds, SIZE, -1);
	assert_false(console_log_wanted(&l));
	assert_int_equal(console_log_timeout(&l), -1);
	console_log_done(&l);
	console_log_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_take_turns),
		cmocka_unit_test(one_file_begins_anew),
		cmocka_unit_test(a_log_of_earlier_times),
		cmocka_unit_test(a_disk_that_is_full_for_a_while),
		cmocka_unit_test(lines_go_to_the_journal),
		cmocka_unit_test(a_journal_that_is_busy),
		cmocka_unit_test(no_log_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
