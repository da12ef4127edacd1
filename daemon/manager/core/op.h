/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A blocking operation on its own thread, at most one per VM.
 *
 * The thread owns the data of the operation until the main thread has joined it and calls @on_done. All
 * other functions here are Thread: main.
 */
#pragma once

#include "daemon/manager/core/loop.h"
#include "ghvm/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/**
 * struct op_calls - callbacks of an operation
 * @run: Thread: operation. Its result is passed to @on_done
 * @on_progress: called after op_progress(), perhaps once for several calls
 * @on_done: called after the join; may start the next operation
 */
struct op_calls {
	int (*run)(void *data, struct ghvm_error *err);
	void (*on_progress)(void *data);
	void (*on_done)(void *data, int result, const struct ghvm_error *err);
};

/**
 * struct op - embedded in objects that have operations
 * @calls, @data: of the running operation
 * @event: eventfd by which the thread wakes the main thread
 * @finished: set by the thread at its end
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

/* Return: 0; -EBUSY an operation runs; an error of pthread_create(). @calls: static */
int op_start(struct op *op, const struct op_calls *calls, void *data);

bool op_busy(const struct op *op);

/* Thread: operation. */
void op_progress(struct op *op);

/* Waits for a running operation, without calling @on_done. */
void op_done(struct op *op);
