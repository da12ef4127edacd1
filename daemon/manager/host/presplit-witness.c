/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children that look at a page. What a child does after its second load is to say that it has
 * survived it.
 */
#include "daemon/manager/host/presplit-witness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#define SURVIVED 42
#define NO_WITNESS 43
#define SOCKET 0 /* in the child */
#define PAGE 1

/* --- the child: only what is safe after a fork --- */

/* Both files to where nothing else is, and everything else away. */
static int keep_only(int memfd, int sock)
{
	int s = fcntl(sock, F_DUPFD, 3), m = fcntl(memfd, F_DUPFD, 3);

	if (s < 0 || m < 0 || dup2(s, SOCKET) < 0 || dup2(m, PAGE) < 0)
		return -1;
	return close_range(PAGE + 1, UINT_MAX, 0);
}

static const volatile uint8_t *map_page(void)
{
	void *p = mmap(NULL, GHVM_PAGE, PROT_READ, MAP_SHARED, PAGE, 0);

	if (p == MAP_FAILED || madvise(p, GHVM_PAGE, MADV_DONTDUMP) < 0 || close(PAGE) < 0)
		return NULL;
	return p;
}

static void child(int memfd, int sock, pid_t parent) __attribute__((noreturn));
static void child(int memfd, int sock, pid_t parent)
{
	const volatile uint8_t *page;
	char c = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    prctl(PR_SET_DUMPABLE, 0) < 0 || signal(SIGBUS, SIG_DFL) == SIG_ERR ||
	    keep_only(memfd, sock) < 0)
		_exit(NO_WITNESS);
	page = map_page();
	if (!page)
		_exit(NO_WITNESS);
	(void)*page;
	if (write(SOCKET, &c, 1) != 1 || read(SOCKET, &c, 1) != 1)
		_exit(NO_WITNESS);
	(void)*page; /* the look */
	_exit(SURVIVED);
}

/* --- the parent --- */

/* 1: it said something; 0: it is over. */
static int hear(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;
	char c;
	int r;

	do
		r = poll(&p, 1, WITNESS_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	n = recv(fd, &c, 1, MSG_DONTWAIT);
	return n < 0 && errno != ECONNRESET ? -errno : n > 0;
}

static int begin_witness(struct witness *w, size_t i, int memfd)
{
	pid_t parent = getpid(), pid;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child(memfd, pair[1], parent);
	r = -errno;
	(void)close(pair[1]); /* the child's */
	w->fd[i] = pair[0];
	if (pid < 0)
		return r;
	w->pid[i] = pid;
	r = hear(w->fd[i]);
	return r == 0 ? -ECHILD : r;
}

int witness_open(void *data, const int memfds[GHVM_PRESPLIT_PAGES])
{
	struct witness *w = data;
	int r = 1;

	*w = (struct witness){};
	for (size_t i = 0; i < GHVM_PRESPLIT_PAGES; i++)
		w->fd[i] = -1;
	for (size_t i = 0; i < GHVM_PRESPLIT_PAGES && r > 0; i++)
		r = begin_witness(w, i, memfds[i]);
	return r < 0 ? r : 0;
}

/* Its status, once it is over. */
static int reap(struct witness *w, size_t i)
{
	int status = 0;
	pid_t r;

	do
		r = waitpid(w->pid[i], &status, 0);
	while (r < 0 && errno == EINTR);
	w->pid[i] = 0;
	return r < 0 ? -errno : status;
}

int witness_look(void *data, size_t i)
{
	struct witness *w = data;
	char c = 0;
	int r;

	if (send(w->fd[i], &c, 1, MSG_NOSIGNAL) != 1)
		return -ECHILD;
	r = hear(w->fd[i]);
	if (r != 0)
		return r < 0 ? r : -ECHILD;
	r = reap(w, i);
	if (r < 0)
		return r;
	if (WIFEXITED(r) && WEXITSTATUS(r) == SURVIVED)
		return 1;
	return WIFSIGNALED(r) && WTERMSIG(r) == SIGBUS ? 0 : -ECHILD;
}

void witness_close(void *data)
{
	struct witness *w = data;

	for (size_t i = 0; i < GHVM_PRESPLIT_PAGES; i++) {
		if (w->pid[i] > 0) {
			(void)kill(w->pid[i], SIGKILL); /* ours: it is not reaped yet */
			(void)reap(w, i);
		}
		closep(&w->fd[i]);
		w->fd[i] = -1;
	}
}
