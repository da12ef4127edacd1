/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The most recent messages between this host and the resource manager, to answer "what
 * happened?".
 *
 * One ring holds those of all VMs, and each VM has a ring of its own, so that its last messages
 * survive busy neighbours and its own end. The number and size of rings are fixed
 * (GHVM_TRACE_VMS); a message longer than GHVM_TRACE_BYTES is cut and says so. Pure but for a
 * clock.
 */
#pragma once

#include "ghvm/api.h"
#include "ghvm/types.h"

#include <stddef.h>
#include <stdint.h>

GHVM_BEGIN_DECLS

#define GHVM_TRACE_MESSAGES 256	   /* in the ring of all VMs */
#define GHVM_TRACE_VM_MESSAGES 128 /* in the ring of one VM */
#define GHVM_TRACE_VMS 64	   /* as many as there are VMIDs, abi B */
#define GHVM_TRACE_BYTES 1088	   /* kept of a payload: enough for 64 entries (abi K.2) */
#define GHVM_TRACE_TEXT 256

/**
 * struct ghvm_trace_message - one message
 * @number: counts from 1 in each ring
 * @usec: CLOCK_REALTIME
 * @vm: name of the VM it belongs to; "" if none or unknown
 * @id: message id; @seq: the same in a request and its reply
 * @len: bytes of its payload; @data: the first GHVM_TRACE_BYTES of them
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

/* The rings. Thread: any, by a lock. */
struct ghvm_trace;

/* Return: 0, and *ret is the caller's; -ENOMEM. */
int ghvm_trace_new(struct ghvm_trace **ret);
void ghvm_trace_free(struct ghvm_trace *t); /* accepts NULL */
void ghvm_trace_freep(struct ghvm_trace **t);

/*
 * Handler for ghvm_rm_set_on_trace(); @trace is a struct ghvm_trace. Messages of
 * GHVM_CALLER_UNSEEN are skipped: they would displace those of VMs. The first message of a VM
 * creates its ring, if necessary in place of the ring silent for the longest. If memory runs out,
 * the message keeps its number and is lost.
 */
void ghvm_trace_add(void *trace, const char *vm, char dir, uint32_t id, uint16_t seq,
		    const uint8_t *payload, size_t len);

/**
 * ghvm_trace_next() - the oldest message after a given number
 * @vm: from the ring of this VM; NULL: of all VMs
 * @after: number of the last one known, 0: from the beginning
 *
 * Return: 1 and *ret; 0: there is none. A gap in the numbers means lost messages. A number not
 * above @after means that @after belonged to another trace, and this message is the first of this
 * one.
 */
int ghvm_trace_next(struct ghvm_trace *t, const char *vm, uint64_t after,
		    struct ghvm_trace_message *ret);

/**
 * ghvm_trace_to_text() - one line of text, without time and VM (libghvm/trace/text.c)
 * @m: not trusted; @len may exceed the size of @data
 */
void ghvm_trace_to_text(const struct ghvm_trace_message *m, char ret[GHVM_TRACE_TEXT]);

GHVM_END_DECLS
