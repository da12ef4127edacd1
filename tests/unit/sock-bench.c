/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/sock-bench.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPTIONS_MAX 8
#define PATIENCE_MS 10000

static char program[PATH_MAX];

void sock_bench_program(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	int dir = slash ? (int)(slash - argv[0]) + 1 : 0;

	if (argc > 1)
		(void)snprintf(program, sizeof(program), "%s", argv[1]);
	else
		(void)snprintf(program, sizeof(program), "%.*sghvm-model", dir, argv[0]);
}

static void sleep_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void connect_host(struct sock_bench *b)
{
	struct ghvm_error err = { 0 };

	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		if (ghvm_host_open(b->uri, &b->host, &err) == 0)
			return;
		assert_int_equal(err.code, -ENODEV);
		sleep_ms(10);
	}
	fail_msg("%s", err.msg);
}

struct sock_bench *sock_bench_new(const char *option, ...)
{
	struct sock_bench *b = calloc(1, sizeof(*b));
	char control[80];
	char *argv[OPTIONS_MAX + 4] = { program, control };
	int n = 2;
	va_list ap;

	assert_non_null(b);
	strcpy(b->dir, "/tmp/ghvm-sock-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->uri, sizeof(b->uri), "unix:%s/model", b->dir);
	(void)snprintf(b->control, sizeof(b->control), "%s/control", b->dir);
	(void)snprintf(control, sizeof(control), "--control=%s", b->control);
	va_start(ap, option);
	for (; option && n < OPTIONS_MAX; option = va_arg(ap, const char *))
		argv[n++] = (char *)(uintptr_t)option;
	va_end(ap);
	argv[n] = b->uri + strlen("unix:");

	b->pid = fork();
	assert_true(b->pid >= 0);
	if (!b->pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
		execv(program, argv);
		_exit(127);
	}
	connect_host(b);
	return b;
}

/* It ends at a word, and clean: a sanitizer's complaint is a failure. */
void sock_bench_freep(struct sock_bench **b)
{
	struct sock_bench *s = *b;

	if (!s)
		return;
	ghvm_host_close(s->host);
	if (s->pid > 0) {
		sock_bench_command(s, "quit");
		assert_int_equal(waitpid(s->pid, &s->status, 0), s->pid);
		assert_int_equal(s->status, 0);
	}
	assert_int_equal(rmdir(s->dir), 0); /* it took its sockets away */
	free(s);
}

/* What is answered to @line, up to "ok" or "error". */
static void ask(struct sock_bench *b, const char *line, char *buf, size_t size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = 0;

	memcpy(addr.sun_path, b->control, strlen(b->control));
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(dprintf(fd, "%s\n", line), strlen(line) + 1);
	do {
		ssize_t r = read(fd, buf + n, size - 1 - n);

		assert_true(r > 0);
		n += (size_t)r;
		buf[n] = 0;
	} while (!strstr(buf, "ok\n") && !strstr(buf, "error"));
	(void)close(fd);
}

void sock_bench_command(struct sock_bench *b, const char *line)
{
	char buf[256];

	ask(b, line, buf, sizeof(buf));
	assert_string_equal(buf, "ok\n");
}

uint64_t sock_bench_count(struct sock_bench *b, const char *key)
{
	char buf[4096] = "\n", want[64];
	const char *p;

	ask(b, "counts", buf + 1, sizeof(buf) - 1);
	(void)snprintf(want, sizeof(want), "\n%s=", key);
	p = strstr(buf, want);
	if (!p)
		fail_msg("no %s in counts", key);
	return strtoull(p + strlen(want), NULL, 10);
}

int sock_bench_memfd(uint64_t length, uint8_t fill)
{
	int fd = memfd_create("sock-bench", MFD_CLOEXEC);
	void *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)length), 0);
	p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	memset(p, fill, length);
	(void)munmap(p, length);
	return fd;
}
