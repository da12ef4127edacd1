/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console and its clients: with one, without, with several, and with one that does not read.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/runner/devices/console.h"
#include "libghvm/base/cleanup.h"

#define VISITS 3000

struct fixture {
	struct console c;
	size_t room;
	bool waits; /* it was told that there is no room, and is to be woken */
	char typed[8192];
	size_t n_typed;
	int log; /* our copy */
};

static int leaver = -1; /* a client that types x and leaves just before it is sent output */

/* Takes the place of libc's function in this program. */
ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	if (leaver >= 0) {
		assert_int_equal(write(leaver, "x", 1), 1);
		close(leaver);
		leaver = -1;
	}
	return sendto(fd, buf, n, flags, NULL, 0);
}

static size_t on_room(void *data)
{
	struct fixture *f = data;

	f->waits = !f->room;
	return f->room;
}

static size_t on_receive(void *data, const uint8_t *buf, size_t n)
{
	struct fixture *f = data;

	assert_true(n <= f->room && n <= sizeof(f->typed) - f->n_typed);
	memcpy(f->typed + f->n_typed, buf, n);
	f->n_typed += n;
	f->room -= n;
	return n;
}

static const struct console_ops ops = { on_room, on_receive };

static int set_up(void **state)
{
	int logs[GHVM_SPEC_LOGS_MAX] = { -1, -1, -1, -1, -1, -1, -1, -1 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct console_log log;

	f->room = sizeof(f->typed);
	f->log = memfd_create("log", 0);
	logs[0] = dup(f->log);
	console_log_init(&log, logs, GHVM_LOG_SIZE, -1);
	assert_int_equal(console_init(&f->c, &ops, f, &log), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	console_done(&f->c);
	close(f->log);
	free(f);
	return 0;
}

/* Return: whether there was something to do within @ms. */
static bool turn(struct fixture *f, int ms)
{
	struct pollfd fds[CONSOLE_POLLFDS];

	int timeout = console_timeout(&f->c);

	console_poll(&f->c, fds);
	if (poll(fds, CONSOLE_POLLFDS, timeout < 0 ? ms : timeout) <= 0 && timeout < 0)
		return false;
	console_process(&f->c);
	return true;
}

static void settle(struct fixture *f)
{
	int n = 0;

	while (turn(f, 50))
		assert_true(++n < 1000); /* it does not spin */
}

static void put(struct fixture *f, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		console_put(&f->c, (uint8_t)s[i]);
}

static char *pattern(size_t n)
{
	char *s = malloc(n);

	for (size_t i = 0; i < n; i++)
		s[i] = (char)('a' + (i * 7 + i / 251) % 26);
	return s;
}

/* Read from a client's end until @n bytes came or it is dry. */
static size_t drain(struct fixture *f, int fd, char *buf, size_t n)
{
	size_t got = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int idle = 0; got < n && idle < 20; idle++) {
		ssize_t r = read(fd, buf + got, n - got);

		if (r > 0) {
			got += (size_t)r;
			idle = 0;
		}
		turn(f, 5);
	}
	return got;
}

static void the_last_words_of_a_client_count(void **state)
{
	struct fixture *f = *state;

	leaver = console_attach(&f->c, false, false);
	assert_true(leaver >= 0);
	put(f, "up", 2);
	settle(f);
	assert_int_equal(leaver, -1);
	assert_int_equal(f->n_typed, 1);
	assert_int_equal(f->typed[0], 'x');
}

static void both_ways(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int fd = console_attach(&f->c, false, false);
	char buf[64];

	assert_true(fd >= 0);
	put(f, "hello\n", 6);
	assert_int_equal(drain(f, fd, buf, 6), 6);
	assert_memory_equal(buf, "hello\n", 6);
	assert_int_equal(write(fd, "ls\r\3", 4), 4);
	settle(f);
	assert_int_equal(f->n_typed, 4);
	assert_memory_equal(f->typed, "ls\r\3", 4);
	assert_int_equal(drain(f, fd, buf, 1), 0); /* nothing is echoed */
	assert_int_equal(pread(f->log, buf, 64, 0), 6);
	assert_memory_equal(buf, "hello\n", 6);
}

static void the_next_reader_gets_the_last_64k(void **state)
{
	struct fixture *f = *state;
	size_t n = CONSOLE_BUFFER_SIZE + 5000;
	_cleanup_(freep) char *sent = pattern(n), *got = malloc(n);
	_cleanup_(closep) int fd = -1;

	put(f, sent, n);
	settle(f);
	fd = console_attach(&f->c, false, false);
	assert_int_equal(drain(f, fd, got, n), CONSOLE_BUFFER_SIZE);
	assert_memory_equal(got, sent + 5000, CONSOLE_BUFFER_SIZE);
}

static void the_log_has_all_that_it_had_time_for(void **state)
{
	struct fixture *f = *state;
	size_t n = 3 * CONSOLE_BUFFER_SIZE;
	_cleanup_(freep) char *sent = pattern(n), *got = malloc(n + 1);

	for (size_t i = 0; i < n; i += 8192) {
		put(f, sent + i, 8192);
		assert_true(turn(f, 1000));
	}
	assert_int_equal(pread(f->log, got, n + 1, 0), n);
	assert_memory_equal(got, sent, n);
}

static void the_log_says_what_it_lost(void **state)
{
	struct fixture *f = *state;
	size_t n = CONSOLE_BUFFER_SIZE + 17;
	_cleanup_(freep) char *sent = pattern(n), *got = malloc(n);

	put(f, sent, n);
	settle(f);
	assert_int_equal(pread(f->log, got, n, 0), 17 + CONSOLE_BUFFER_SIZE);
	assert_memory_equal(got, "\n[17 bytes lost]\n", 17);
	assert_memory_equal(got + 17, sent + 17, CONSOLE_BUFFER_SIZE);
}

static void a_reader_that_does_not_read_stops_nobody(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int fd = console_attach(&f->c, false, false);
	size_t n = 40 * 8192;
	_cleanup_(freep) char *sent = pattern(n);

	for (size_t i = 0; i < n; i += 8192) {
		put(f, sent + i, 8192);
		assert_true(turn(f, 1000));
	}
	settle(f); /* comes to rest although much is left */
	assert_int_equal(lseek(f->log, 0, SEEK_END), n);
	assert_true(f->c.shown < n && fd >= 0);
}

static void readers_come_and_go(void **state)
{
	struct fixture *f = *state;
	char buf[16];

	for (int i = 0; i < 5; i++) {
		int fd = console_attach(&f->c, false, false);

		put(f, "on", 2);
		assert_int_equal(drain(f, fd, buf, 2), 2);
		assert_memory_equal(buf, "on", 2);
		close(fd);
		settle(f);
		assert_int_equal(f->c.clients[0].fd, -1);
		put(f, "off", 3);
		settle(f);
		fd = console_attach(&f->c, false, false);
		assert_int_equal(drain(f, fd, buf, 3), 3);
		assert_memory_equal(buf, "off", 3);
		close(fd);
		settle(f);
	}
}

/* One types; others watch, get all of it, and are not heard. */
static void one_types_and_others_watch(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int types = console_attach(&f->c, false, false);
	_cleanup_(closep) int one = console_attach(&f->c, true, false);
	_cleanup_(closep) int two = console_attach(&f->c, true, false);
	char buf[16];

	assert_int_equal(console_attach(&f->c, false, false), -EBUSY);
	put(f, "to all", 6);
	assert_int_equal(drain(f, types, buf, 6), 6);
	assert_int_equal(drain(f, one, buf, 6), 6);
	assert_int_equal(drain(f, two, buf, 6), 6);
	assert_memory_equal(buf, "to all", 6);
	assert_int_equal(send(one, "no", 2, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(send(types, "yes", 3, MSG_NOSIGNAL), 3);
	settle(f);
	assert_int_equal(f->n_typed, 3);
	assert_memory_equal(f->typed, "yes", 3);
}

/* What it had typed is not lost, and what it has not seen is for the next. */
static void force_takes_over(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int old = console_attach(&f->c, false, false), new = -1;
	char buf[16];

	settle(f);
	assert_int_equal(write(old, "ab", 2), 2);
	new = console_attach(&f->c, false, true);
	assert_true(new >= 0);
	assert_int_equal(read(old, buf, sizeof(buf)), 0);
	assert_int_equal(write(new, "cd", 2), 2);
	settle(f);
	assert_memory_equal(f->typed, "abcd", 4);
	put(f, "news", 4);
	assert_int_equal(drain(f, new, buf, 4), 4);
	closep(&new);
	new = console_attach(&f->c, false, false); /* not even a turn later */
	assert_true(new >= 0);
}

static void too_many_do_not_watch(void **state)
{
	struct fixture *f = *state;
	int fds[CONSOLE_CLIENTS_MAX], last;
	char c;

	for (int i = 1; i < CONSOLE_CLIENTS_MAX; i++) {
		fds[i] = console_attach(&f->c, true, false);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(console_attach(&f->c, true, false), -EBUSY);
	fds[0] = console_attach(&f->c, false, false); /* that place is not theirs */
	assert_true(fds[0] >= 0);
	last = console_attach(&f->c, true, true);
	assert_true(last >= 0);
	assert_int_equal(read(fds[1], &c, 1), 0); /* the one that came first */
	for (int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		close(fds[i]);
	close(last);
}

/* It may be as slow as it likes; the others do not notice, and it knows what it has missed. */
static void a_slow_one_is_told_what_it_missed(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int slow = console_attach(&f->c, true, false);
	_cleanup_(closep) int quick = console_attach(&f->c, true, false);
	size_t n = 80 * 8192;
	_cleanup_(freep) char *sent = pattern(n), *got = calloc(1, n + 100);
	unsigned long long lost = 0;
	const char *mark;
	size_t k;

	for (size_t i = 0; i < n; i += 8192) {
		put(f, sent + i, 8192);
		assert_int_equal(drain(f, quick, got, 8192), 8192);
		assert_memory_equal(got, sent + i, 8192);
	}
	memset(got, 0, n + 100);
	k = drain(f, slow, got, n + 100);
	mark = strchr(got, '\r');
	assert_non_null(mark);
	assert_int_equal(sscanf(mark, "\r\n[%llu bytes lost]\r\n", &lost), 1);
	assert_memory_equal(got, sent, (size_t)(mark - got));
	mark = strchr(mark, ']') + 3;
	k -= (size_t)(mark - got); /* behind it: all to the end */
	assert_memory_equal(mark, sent + n - k, k);
	assert_int_equal((size_t)(strchr(got, '\r') - got) + lost + k, n);
}

/* It types no more, and may look on; and we do not spin. */
static void half_a_client(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int fd = console_attach(&f->c, false, false);
	char buf[8];

	assert_int_equal(write(fd, "last", 4), 4);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	settle(f);
	assert_int_equal(f->n_typed, 4);
	put(f, "said", 4);
	assert_int_equal(drain(f, fd, buf, 4), 4);
}

static void typing_waits_for_room(void **state)
{
	struct fixture *f = *state;
	int fd = console_attach(&f->c, false, false);

	f->room = 3;
	assert_int_equal(write(fd, "abcdefgh", 8), 8);
	settle(f);
	assert_int_equal(f->n_typed, 3);
	close(fd); /* and gone: what was typed is not */
	settle(f);
	for (int i = 0; i < 5; i++) {
		assert_true(f->waits); /* else it would never be woken */
		f->room = 1;
		f->waits = false;
		console_kick(&f->c);
		settle(f);
	}
	assert_int_equal(f->n_typed, 8);
	assert_memory_equal(f->typed, "abcdefgh", 8);
}

/* More than the console itself keeps: a client pastes it, and leaves before the guest has taken a byte of it. */
static void much_that_was_typed_survives_its_client(void **state)
{
	struct fixture *f = *state;
	int fd = console_attach(&f->c, false, false), next;
	char much[sizeof(f->typed) - 1];

	f->room = 0;
	for (size_t i = 0; i < sizeof(much); i++)
		much[i] = (char)(i % 251);
	assert_int_equal(write(fd, much, sizeof(much)), sizeof(much));
	settle(f);
	close(fd);
	settle(f);
	next = console_attach(&f->c, false, false);
	assert_true(next >= 0);
	assert_int_equal(write(next, "!", 1), 1); /* comes after it */
	settle(f);
	while (f->n_typed < sizeof(f->typed)) {
		assert_true(f->waits); /* else it would never be woken */
		f->room =
			1000 < sizeof(f->typed) - f->n_typed ? 1000 : sizeof(f->typed) - f->n_typed;
		f->waits = false;
		console_kick(&f->c);
		settle(f);
	}
	assert_memory_equal(f->typed, much, sizeof(much));
	assert_int_equal(f->typed[sizeof(much)], '!');
	close(next);
}

/* One ENOSPC does not silence the log: it goes on once there is room, and says what it lacks. */
static void a_full_disk_is_not_the_guests_trouble(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int fd = console_attach(&f->c, false, false), room = dup(f->c.log.fds[0]);
	size_t n = CONSOLE_BUFFER_SIZE + 10;
	_cleanup_(freep) char *sent = pattern(n);
	char buf[64] = "";

	f->c.log.retry_ms = 50;
	dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), f->c.log.fds[0]);
	put(f, "abc", 3);
	assert_int_equal(drain(f, fd, buf, 3), 3);
	assert_int_equal(f->c.log.retry_at != 0, 1);
	put(f, sent, n);
	for (int i = 0; i < 5; i++)
		turn(f, 20);
	dup2(room, f->c.log.fds[0]);
	for (int i = 0; i < 100 && f->c.log.retry_at; i++)
		turn(f, 20);
	assert_int_equal(f->c.log.retry_at, 0);
	assert_int_equal(pread(f->log, buf, 17, 0), 17);
	assert_memory_equal(buf, "\n[13 bytes lost]\n", 17);
	assert_int_equal(lseek(f->log, 0, SEEK_END), 17 + CONSOLE_BUFFER_SIZE);
	put(f, "on it goes", 10);
	settle(f);
	assert_int_equal(pread(f->log, buf, 10, 17 + CONSOLE_BUFFER_SIZE), 10);
	assert_memory_equal(buf, "on it goes", 10);
}

/* Its bytes come in 10 ms portions; once it is silent, so are we. */
static void a_busy_guest_wakes_nobody_a_byte(void **state)
{
	struct fixture *f = *state;
	uint64_t wakes = 0, n;

	for (int i = 0; i < 1000; i++) {
		put(f, "x", 1);
		if (read(f->c.wake, &n, sizeof(n)) > 0)
			wakes += n;
		if (i % 100 == 0)
			console_process(&f->c);
	}
	assert_int_equal(wakes, 1);
	assert_true(turn(f, 1000)); /* the last bytes */
	assert_true(turn(f, 1000)); /* nothing more */
	assert_false(turn(f, 50));
	assert_int_equal(lseek(f->log, 0, SEEK_END), 1000);
	put(f, "y", 1);
	assert_int_equal(read(f->c.wake, &n, sizeof(n)), sizeof(n));
}

static void the_end_flushes(void **state)
{
	struct fixture *f = *state;
	char buf[8];

	put(f, "Bye\n", 4);
	console_done(&f->c);
	assert_int_equal(pread(f->log, buf, 8, 0), 4);
	assert_memory_equal(buf, "Bye\n", 4);
	console_done(&f->c); /* twice is no harm */
}

/* Whenever it leaves: what it typed before has arrived. */
static void what_a_client_left_arrives(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < VISITS; i++) {
		int fd = console_attach(&f->c, false, false);

		assert_true(fd >= 0);
		if (i % 2)
			assert_true(turn(f, 1000));
		assert_int_equal(write(fd, "x", 1), 1);
		close(fd);
	}
	settle(f);
	assert_int_equal(f->n_typed, VISITS);
}

#define CONSOLE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONSOLE_TEST(both_ways),
		CONSOLE_TEST(the_last_words_of_a_client_count),
		CONSOLE_TEST(the_next_reader_gets_the_last_64k),
		CONSOLE_TEST(the_log_has_all_that_it_had_time_for),
		CONSOLE_TEST(the_log_says_what_it_lost),
		CONSOLE_TEST(a_reader_that_does_not_read_stops_nobody),
		CONSOLE_TEST(readers_come_and_go),
		CONSOLE_TEST(one_types_and_others_watch),
		CONSOLE_TEST(force_takes_over),
		CONSOLE_TEST(too_many_do_not_watch),
		CONSOLE_TEST(a_slow_one_is_told_what_it_missed),
		CONSOLE_TEST(half_a_client),
		CONSOLE_TEST(typing_waits_for_room),
		CONSOLE_TEST(much_that_was_typed_survives_its_client),
		CONSOLE_TEST(a_full_disk_is_not_the_guests_trouble),
		CONSOLE_TEST(a_busy_guest_wakes_nobody_a_byte),
		CONSOLE_TEST(the_end_flushes),
		CONSOLE_TEST(what_a_client_left_arrives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
