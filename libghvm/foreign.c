/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closing what may not want to be closed.
 */
#include "libghvm/foreign.h"

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

/* Made by a system call and of no file system: an eventfd, a pidfd, a grant, a pipe. */
static bool is_nameless(int fd)
{
	char number[64], target[16] = "";

	(void)snprintf(number, sizeof(number), "/proc/self/fd/%d", fd); /* fits */
	return readlink(number, target, sizeof(target) - 1) > 0 &&
	       (!strncmp(target, "anon_inode:", 11) || !strncmp(target, "pipe:", 5));
}

/* None of these questions reaches a file system. */
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

static void *close_it(void *data)
{
	(void)close((int)(intptr_t)data); /* nothing can be done about it */
	return NULL;
}

/* Signals are for the threads that expect them. */
static int start(int fd)
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
	r = pthread_create(&thread, &attr, close_it, (void *)(intptr_t)fd);
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
		(void)start(fd); /* without a thread it stays open: that is better than to hang */
}
