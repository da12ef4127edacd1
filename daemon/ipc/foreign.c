/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing descriptors received from other processes, without blocking.
 */
#include "daemon/ipc/foreign.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024)

/* True for files of no file system: eventfds, pidfds, grants, pipes. */
static bool is_nameless(int fd)
{
	char number[64], target[16] = "";

	(void)snprintf(number, sizeof(number), "/proc/self/fd/%d", fd); /* fits */
	return readlink(number, target, sizeof(target) - 1) > 0 &&
	       (!strncmp(target, "anon_inode:", 11) || !strncmp(target, "pipe:", 5));
}

/* True if close() cannot block. None of these calls reaches a file system. */
static bool is_harmless(int fd)
{
	int domain = -1;
	socklen_t n = sizeof(domain);

	if (fcntl(fd, F_GET_SEALS) >= 0) /* a memfd */
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0)
		return domain == AF_UNIX;
	return is_nameless(fd);
}

static void *close_thread(void *data)
{
	(void)close((int)(intptr_t)data); /* nothing can be done about it */
	return NULL;
}

/* Close @fd in a thread of its own, with all signals blocked: other threads expect them. */
static int start_close_thread(int fd)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE); /* else the usual one */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attr, close_thread, (void *)(intptr_t)fd);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return -r;
}

void ghvm_close_foreign(int fd)
{
	if (fd < 0)
		return;
	if (is_harmless(fd))
		(void)close(fd); /* nothing can be done about it */
	else
		(void)start_close_thread(
			fd); /* without a thread it stays open, which is better than blocking */
}
