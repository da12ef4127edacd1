/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Beginning and end of a connection to the resource manager.
 */
#include "libghvm/rm/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#include "libghvm/base/cleanup.h"

#define CALL_MS 10000 /* decision 27 */
#define SYNC_MS 5000

static void init_locks(struct ghvm_rm *rm)
{
	pthread_condattr_t attr;

	(void)pthread_mutex_init(&rm->call_lock, NULL); /* none of these fails on Linux */
	(void)pthread_mutex_init(&rm->rx_lock, NULL);
	(void)pthread_mutex_init(&rm->state, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&rm->cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

static int connect_rm(struct ghvm_rm *rm, struct ghvm_host *host, struct ghvm_error *err)
{
	int r;

	rm->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rm->wake_fd < 0)
		return ghvm_error_set(err, -errno, "eventfd: %s", strerror(errno));
	/* Not a secret: it only has to differ from the last process's, so do not wait for entropy. */
	if (getrandom(&rm->next_seq, sizeof(rm->next_seq), GRND_INSECURE) != sizeof(rm->next_seq))
		return ghvm_error_set(err, -EIO, "no random bytes");

	r = ghvm_msgq_init_rm(&rm->q, host);
	if (r == -EBUSY)
		return ghvm_error_set(err, r, "another process talks to the resource manager");
	if (r < 0)
		return ghvm_error_set(err, r, "no queues to the resource manager: %s",
				      strerror(-r));

	r = ghvm_rm_receive(rm); /* left over from an earlier process */
	if (r < 0)
		return ghvm_error_set(err, r, "cannot read the resource manager's queue: %s",
				      strerror(-r));
	r = ghvm_rm_synchronise(rm, &rm->vmid);
	if (r < 0)
		return ghvm_error_set(err, r, "the resource manager does not answer: %s",
				      strerror(-r));
	return 0;
}

int ghvm_rm_new(struct ghvm_host *host, struct ghvm_rm **ret, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = calloc(1, sizeof(*rm));
	int r;

	if (!rm)
		return ghvm_error_set(err, -ENOMEM, "%s", strerror(ENOMEM));
	ghvm_callers_init(&rm->callers);
	rm->q = (struct ghvm_msgq){ .tx_fd = -1, .rx_fd = -1 };
	rm->call_ms = CALL_MS;
	rm->sync_ms = SYNC_MS;
	init_locks(rm);

	r = connect_rm(rm, host, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rm);
	return 0;
}

void ghvm_rm_free(struct ghvm_rm *rm)
{
	if (!rm)
		return;
	ghvm_msgq_done(&rm->q);
	closep(&rm->wake_fd);
	ghvm_backlog_done(&rm->backlog);
	ghvm_callers_done(&rm->callers);
	(void)pthread_cond_destroy(&rm->cond); /* without waiters none of these fails */
	(void)pthread_mutex_destroy(&rm->state);
	(void)pthread_mutex_destroy(&rm->rx_lock);
	(void)pthread_mutex_destroy(&rm->call_lock);
	free(rm);
}

void ghvm_rm_freep(struct ghvm_rm **rm)
{
	ghvm_rm_free(*rm);
}
