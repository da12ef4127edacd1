/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One blocking operation on its own thread, at most one a VM.
 *
 * The thread owns what the operation works on until @on_done was called on the main
 * thread, which joins it first. All else here is Thread: main.
 */
#pragma once

#include "daemon/manager/core/loop.h"
#include "ghvm/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/**
 * struct op_calls - what an operation is
 * @run: Thread: operation. The result goes to @on_done
 * @on_progress: after op_progress() was called, perhaps once for several times
 * @on_done: after the join; may start the next operation
 */
struct op_calls {
	int (*run)(void *data, struct ghvm_error *err);
	void (*on_progress)(void *data);
	void (*on_done)(void *data, int result, const struct ghvm_error *err);
};

/**
 * struct op - embedded by who has operations
 * @calls, @data: of the operation that runs
 * @event: written by the thread when something is to be told
 * @finished: set by the thread, last
 */
struct op {
	struct loop *loop;
	const struct op_calls *calls;
	void *data;
	pthread_t thread;
	int event;
	struct loop_watch watch;
	bool busy;
	_Atomic bool finished;
	int result;
	struct ghvm_error err;
};

/* @loop: borrowed, outlives @op */
int op_init(struct op *op, struct loop *loop);

/* Return: 0; -EBUSY one runs; pthread_create()'s. @calls is static. */
int op_start(struct op *op, const struct op_calls *calls, void *data);

bool op_busy(const struct op *op);

/* Thread: operation. */
void op_progress(struct op *op);

/* Waits for an operation that runs, without a call of @on_done. */
void op_done(struct op *op);
