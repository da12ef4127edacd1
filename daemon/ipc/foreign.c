/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing descriptors received from other processes, without blocking.
 */
#include "daemon/ipc/foreign.h"

#include "daemon/ipc/thread.h"

#include <fcntl.h>
#include <pthread.h>
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

void ghvm_close_foreign(int fd)
{
	pthread_t thread;

	if (fd < 0)
		return;
	if (is_harmless(fd))
		(void)close(fd); /* nothing can be done about it */
	else if (ghvm_thread_start(&thread, STACK_SIZE, close_thread, (void *)(intptr_t)fd) == 0)
		(void)pthread_detach(thread); /* nothing waits for it */
	/* without a thread it stays open, which is better than blocking */
}
