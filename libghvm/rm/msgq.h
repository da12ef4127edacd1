/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pair of message queues, for packets to and from the resource manager (abi B).
 *
 * The virqs are edge-triggered. A full queue is polled every 10 ms, because the edge may never
 * come (abi K.1), and a reader reads until EMPTY.
 */
#pragma once

#include "libghvm/hyp/hvc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct ghvm_msgq - both directions
 * @host: borrowed
 * @tx_fd: eventfd of the TX virq, or -1: none; owned
 * @rx_fd: eventfd of the RX virq; owned
 */
struct ghvm_msgq {
	struct ghvm_host *host;
	struct ghvm_capid tx;
	struct ghvm_capid rx;
	int tx_fd;
	int rx_fd;
};

/**
 * ghvm_msgq_init_rm() - the queues to the resource manager
 * @q: ghvm_msgq_done() also after failure
 *
 * Return: 0; -EBUSY another process has RM rx; -ENODEV no queues; other errno.
 */
int ghvm_msgq_init_rm(struct ghvm_msgq *q, struct ghvm_host *host);
void ghvm_msgq_done(struct ghvm_msgq *q);

/**
 * ghvm_msgq_send() - one packet
 * @len: 1 to GHVM_MSGQUEUE_BYTES
 * @push: on the last packet of a message only
 * @deadline: CLOCK_MONOTONIC nanoseconds; -ETIMEDOUT if the queue is still full then
 *
 * Thread: one at a time; the caller holds a lock for the whole message.
 * Return: 0; -ETIMEDOUT still full; -EREMOTEIO the hypervisor refused; other errno.
 */
int ghvm_msgq_send(struct ghvm_msgq *q, const void *buf, size_t len, bool push, uint64_t deadline);

/**
 * ghvm_msgq_receive() - one packet, if there is one
 * @buf: GHVM_MSGQUEUE_BYTES
 * @ret_more: false: the queue is empty now, and what is sent from here on raises the virq again
 *
 * Thread: one at a time.
 * Return: 1: *ret_len bytes; 0: empty; -EREMOTEIO the hypervisor refused; -EPROTO the hypervisor
 * returned OK with an impossible size, and would do so for ever; other errno.
 */
int ghvm_msgq_receive(struct ghvm_msgq *q, uint8_t buf[GHVM_MSGQUEUE_BYTES], size_t *ret_len,
		      bool *ret_more);

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t ghvm_msgq_now(void);
