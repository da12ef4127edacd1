/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that serves a virtio device, and the orders that its registers leave for it.
 *
 * A vCPU that writes a register waits for the thread only in a reset: then the thread has to let go of the queues.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/runner/virtio/transport.h"
#include "ghvm/error.h"

/**
 * struct worker_orders - what the registers want of the thread
 * @turn: changes with each order
 * @quit: end
 * @runs: serve @queues, of a driver that has accepted @features
 */
struct worker_orders {
	unsigned long long turn;
	bool quit;
	bool runs;
	uint64_t features;
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
};

/**
 * struct worker - the thread
 * @wake: eventfd, owned: there are orders, or the guest has offered something; -1: none
 * @lock: guards @orders and @done; @on_done: @done has changed
 * @done: the last turn that the thread has carried out
 *
 * Not movable.
 */
struct worker {
	int wake;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t on_done;
	struct worker_orders orders;
	unsigned long long done;
};

/* @w: the caller calls worker_done(). */
void worker_init(struct worker *w);
/* Order the thread to end, and wait for that. */
void worker_done(struct worker *w);

/* Start the thread, which runs @serve with @data. Return: 0; negative errno with a message. */
int worker_start(struct worker *w, void *(*serve)(void *data), void *data, struct ghvm_error *err);

/* For virtio_kind's start, notify and stop. Thread: any but the worker's */

/* Serve @queues. */
void worker_run(struct worker *w, uint64_t features, const struct virtio_queue *queues);
/* The guest has offered something. */
void worker_wake(struct worker *w);
/* Serve no queue, and wait until the thread has let go of them. */
void worker_halt(struct worker *w);

/* For the thread. */

/* Return: true: there are new orders in @ret; call worker_carried_out() when they are carried out. Else it is untouched. */
bool worker_take(struct worker *w, struct worker_orders *ret);
void worker_carried_out(struct worker *w, const struct worker_orders *orders);
/* After poll() on @wake. */
void worker_woken(struct worker *w);
