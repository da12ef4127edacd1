/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last messages between us and the resource manager, for people who ask what happened.
 *
 * One ring for all of them and one more for each VM, so that what a VM said last is there
 * however busy the others are, and after it has ended. Rings never grow, and there are not more
 * than GHVM_TRACE_VMS; a message too long for its place is cut, and says so. Pure but for a
 * clock.
 */
#pragma once

#include "libghvm/types.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_TRACE_MESSAGES 256	   /* of all */
#define GHVM_TRACE_VM_MESSAGES 128 /* of one VM */
#define GHVM_TRACE_VMS 64	   /* as many as there are VMIDs, abi B */
#define GHVM_TRACE_BYTES 1088 /* of one payload: the 64 entries of abi K.2, and what is around */
#define GHVM_TRACE_TEXT 256

/**
 * struct ghvm_trace_message - one message
 * @number: counts from 1 in each ring
 * @usec: CLOCK_REALTIME
 * @vm: name of whose it is; "": nobody's, or nobody can tell
 * @id: message id; @seq: what ties a reply to its request
 * @len: of its payload; @data: the first GHVM_TRACE_BYTES of it
 * @dir: '>' sent, '<' reply (payload begins with a status), '!' notification
 */
struct ghvm_trace_message {
	uint64_t number;
	uint64_t usec;
	char vm[GHVM_NAME_SIZE];
	uint32_t id;
	uint32_t len;
	uint16_t seq;
	char dir;
	uint8_t data[GHVM_TRACE_BYTES];
};

struct ghvm_trace_ring;

/**
 * struct ghvm_trace - the rings
 *
 * Thread: any, by lock.
 */
struct ghvm_trace {
	pthread_mutex_t lock;
	/* guarded by lock, owned: */
	struct ghvm_trace_ring *all;
	struct ghvm_trace_ring *vms[GHVM_TRACE_VMS]; /* NULL: not used yet */
};

/* Return: 0; -ENOMEM. */
int ghvm_trace_init(struct ghvm_trace *t);
void ghvm_trace_done(struct ghvm_trace *t);

/*
 * As ghvm_rm_set_on_trace() calls it; @trace is a struct ghvm_trace. What GHVM_CALLER_UNSEEN says and
 * hears is not kept: it would leave no room for what is about VMs. A VM's ring is made by its
 * first message, in place of the one that was silent for the longest if there are too many. What
 * finds no memory is counted, and lost.
 */
void ghvm_trace_add(void *trace, const char *vm, char dir, uint32_t id, uint16_t seq,
		    const uint8_t *payload, size_t len);

/**
 * ghvm_trace_next() - the oldest message that is newer
 * @vm: of this one; NULL: of all
 * @after: number of the last one known, 0: from the beginning
 *
 * Return: 1 and *ret; 0 there is none. A gap in the numbers: those in between are lost. A
 * number that is not above @after: @after was of another trace, and this one is from its beginning.
 */
int ghvm_trace_next(struct ghvm_trace *t, const char *vm, uint64_t after,
		    struct ghvm_trace_message *ret);

/**
 * ghvm_trace_to_text() - one line for people, without time and VM (trace-text.c)
 * @m: not trusted, @len beyond what @data holds is allowed
 */
void ghvm_trace_to_text(const struct ghvm_trace_message *m, char ret[GHVM_TRACE_TEXT]);
