/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operation threads. They block all signals and have small stacks.
 */
#include "daemon/manager/core/op.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/ipc/thread.h"
#include "libghvm/base/cleanup.h"

#define STACK_SIZE (512 * 1024) /* holds RM messages */

static void wake_main(struct op *op)
{
	const uint64_t one = 1;

	(void)!write(op->event, &one, sizeof(one)); /* a full eventfd is readable, too */
}

static void *run_thread(void *data)
{
	struct op *op = data;

	op->result = op->calls->run(op->data, &op->err);
	atomic_store(&op->finished, true);
	wake_main(op);
	return NULL;
}

static void join(struct op *op)
{
	int r = pthread_join(op->thread, NULL);

	assert(r == 0);
	(void)r;
	op->busy = false;
}

static void on_event(void *data)
{
	struct op *op = data;
	struct ghvm_error err;
	uint64_t n;

	(void)!read(op->event, &n, sizeof(n)); /* only to make it unreadable */
	if (!op->busy)
		return;
	if (!atomic_load(&op->finished)) {
		if (op->calls->on_progress)
			op->calls->on_progress(op->data);
		return;
	}
	join(op);
	err = op->err; /* a copy, because on_done may start the next operation */
	op->calls->on_done(op->data, op->result, &err);
}

int op_init(struct op *op, struct loop *loop)
{
	*op = (struct op){ .loop = loop };
	op->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (op->event < 0)
		return -errno;
	return loop_watch_read(loop, &op->watch, op->event, on_event, op);
}

int op_start(struct op *op, const struct op_calls *calls, void *data)
{
	int r;

	if (op->busy)
		return -EBUSY;
	op->calls = calls;
	op->data = data;
	op->err = (struct ghvm_error){};
	op->result = 0;
	atomic_store(&op->finished, false);
	r = ghvm_thread_start(&op->thread, STACK_SIZE, run_thread, op);
	if (r < 0)
		return r;
	op->busy = true;
	return 0;
}

bool op_busy(const struct op *op)
{
	return op->busy;
}

void op_progress(struct op *op)
{
	wake_main(op);
}

void op_done(struct op *op)
{
	if (op->busy)
		join(op);
	loop_watch_done(&op->watch);
	if (op->loop)
		closep(&op->event);
	*op = (struct op){ .event = -1 };
}
