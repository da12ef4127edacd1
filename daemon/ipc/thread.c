/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ipc/thread.h"

#include <limits.h>
#include <signal.h>

int ghvm_thread_start(pthread_t *ret, size_t stack, void *(*run)(void *), void *data)
{
	const size_t least =
		(size_t)PTHREAD_STACK_MIN; /* the C library's, which depends on the machine */
	sigset_t all, before;
	pthread_attr_t attr;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	if (stack)
		r = pthread_attr_setstacksize(&attr, stack < least ? least : stack);
	if (!r) {
		(void)sigfillset(&all); /* these three cannot fail with these arguments */
		(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits it */
		r = pthread_create(ret, &attr, run, data);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	(void)pthread_attr_destroy(&attr);
	return -r;
}
