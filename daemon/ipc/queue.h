/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages waiting for space in the receiver's socket.
 *
 * A process that is stopped, busy or short of memory does not read, and the kernel may lack
 * memory for a message. In neither case is the peer gone, so messages wait here, in order. Only
 * the end of the connection means the peer's end (decision 41).
 */
#pragma once

#include "daemon/ipc/protocol.h"

#include <stdbool.h>

#define GHVM_LINK_QUEUE_MAX 64
#define GHVM_LINK_AGAIN_MS 50 /* retry interval: POLLOUT does not tell of free memory */

struct ghvm_link_entry;

/**
 * struct ghvm_link_queue - embedded, begins as zeroes
 * @first: owned, in order
 */
struct ghvm_link_queue {
	struct ghvm_link_entry *first;
	size_t n;
};

/**
 * ghvm_link_post() - send a message now or queue it
 * @sock: non-blocking
 * @fds: borrowed; duplicated if the message is queued
 *
 * Return: 0 it is sent or queued (ghvm_link_waits()); -EAGAIN the queue is full; -EPIPE the peer
 * is gone; another errno: the message can never be sent, or there is no memory to queue it.
 */
int ghvm_link_post(struct ghvm_link_queue *q, int sock, uint32_t type,
		   const struct ghvm_put *payload, const int *fds, size_t n_fds);

/*
 * Send queued messages. Return: 0, all are sent or some still wait; -EPIPE the peer is gone;
 * another errno.
 */
int ghvm_link_flush(struct ghvm_link_queue *q, int sock);

bool ghvm_link_waits(const struct ghvm_link_queue *q);

/* Drop queued messages. */
void ghvm_link_queue_done(struct ghvm_link_queue *q);
