/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages that their receiver has no room for yet.
 *
 * A process that is stopped, busy or short of memory does not read, and the kernel may have no
 * memory for a message. Neither says that the peer is gone, so what must be said waits here, in
 * order, until it can be sent. Only the end of the connection is the peer's end.
 */
#pragma once

#include "daemon/ipc/protocol.h"

#include <stdbool.h>

#define GHVM_LINK_QUEUE_MAX 64
#define GHVM_LINK_AGAIN_MS 50 /* when to try again: POLLOUT does not tell of free memory */

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
 * ghvm_link_post() - send one message, or keep it
 * @sock: non-blocking
 * @fds: borrowed; those of a message that waits are duplicated
 *
 * Return: 0 it is sent, or waits (ghvm_link_waits()); -EAGAIN too many wait; -EPIPE the peer is
 * gone; another errno: the message can never be sent, or there is no memory to keep it.
 */
int ghvm_link_post(struct ghvm_link_queue *q, int sock, uint32_t type,
		   const struct ghvm_put *payload, const int *fds, size_t n_fds);

/* Try again. Return: 0, all is sent or some still waits; -EPIPE the peer is gone; another errno. */
int ghvm_link_flush(struct ghvm_link_queue *q, int sock);

bool ghvm_link_waits(const struct ghvm_link_queue *q);

/* Forget what waits. */
void ghvm_link_queue_done(struct ghvm_link_queue *q);
