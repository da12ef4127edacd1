/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors received from other processes are closed without waiting. */
#include "daemon/ipc/foreign.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINGER_SEC 20

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void wait_until_closed(int fd)
{
	for (int i = 0; is_open(fd) && i < 5000; i++)
		usleep(1000);
	assert_false(is_open(fd));
}

static void closes_what_is_harmless_at_once(void **state)
{
	int pair[2], p[2];
	int fds[] = { memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), eventfd(0, EFD_CLOEXEC),
		      -1, -1 };

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fds[2] = pair[0];
	fds[3] = p[0];
	for (size_t i = 0; i < 4; i++) {
		ghvm_close_foreign(fds[i]);
		assert_false(is_open(fds[i]));
	}
	close(pair[1]);
	close(p[1]);
	ghvm_close_foreign(-1);
}

static void closes_a_file_soon(void **state)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ghvm_close_foreign(fd);
	wait_until_closed(fd);
}

/* As a FUSE file of a file system that does not answer, except that this one ends. */
static void does_not_wait_for_one_that_lingers(void **state)
{
	struct linger linger = { 1, LINGER_SEC };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t len = sizeof(at);
	static char much[65536];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	double began;

	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, much, sizeof(much), MSG_DONTWAIT) > 0)
		; /* until the socket is full, as no peer reads */
	began = now();
	ghvm_close_foreign(fd);
	assert_true(now() - began < LINGER_SEC / 4.0);
	wait_until_closed(fd);
	close(peer);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closes_what_is_harmless_at_once),
		cmocka_unit_test(closes_a_file_soon),
		cmocka_unit_test(does_not_wait_for_one_that_lingers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
