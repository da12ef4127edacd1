/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last messages between us and the resource manager, for people who ask what happened.
 *
 * A ring that never grows; a message too long for its place is cut, and says so. Pure but for
 * a clock.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_TRACE_MESSAGES 256
#define GHVM_TRACE_BYTES 240 /* of one payload */
#define GHVM_TRACE_TEXT 192

/**
 * struct ghvm_trace_message - one message
 * @number: counts from 1, never reused
 * @usec: CLOCK_REALTIME
 * @id: message id; @seq: what ties a reply to its request
 * @len: of its payload; @data: the first GHVM_TRACE_BYTES of it
 * @dir: '>' sent, '<' reply (payload begins with a status), '!' notification
 */
struct ghvm_trace_message {
	uint64_t number;
	uint64_t usec;
	uint32_t id;
	uint32_t len;
	uint16_t seq;
	char dir;
	uint8_t data[GHVM_TRACE_BYTES];
};

/**
 * struct ghvm_trace - the ring
 *
 * Thread: any, by lock.
 */
struct ghvm_trace {
	pthread_mutex_t lock;
	/* guarded by lock: */
	uint64_t last;			 /* number of the newest message, 0: none yet */
	struct ghvm_trace_message *ring; /* owned, GHVM_TRACE_MESSAGES */
};

/* Return: 0; -ENOMEM. */
int ghvm_trace_init(struct ghvm_trace *t);
void ghvm_trace_done(struct ghvm_trace *t);

/* As ghvm_rm_set_on_trace() calls it; @trace is a struct ghvm_trace. */
void ghvm_trace_add(void *trace, char dir, uint32_t id, uint16_t seq, const uint8_t *payload,
		    size_t len);

/**
 * ghvm_trace_next() - the oldest message that is newer
 * @after: number of the last one known, 0: from the beginning
 *
 * Return: 1 and *ret; 0 there is none. A gap in the numbers: those in between are lost.
 */
int ghvm_trace_next(struct ghvm_trace *t, uint64_t after, struct ghvm_trace_message *ret);

/**
 * ghvm_trace_to_text() - one line for people, without its time
 * @m: not trusted, @len beyond what @data holds is allowed
 */
void ghvm_trace_to_text(const struct ghvm_trace_message *m, char ret[GHVM_TRACE_TEXT]);
