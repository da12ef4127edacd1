/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a connection, for rm.c and rm-connect.c only.
 */
#pragma once

#include "libghvm/backlog.h"
#include "libghvm/caller.h"
#include "libghvm/msgq.h"
#include "libghvm/packet.h"
#include "libghvm/rm.h"

#include <pthread.h>
#include <stdatomic.h>

#define GHVM_RM_FACTS 256 /* VMIDs with facts; RM's are below */

/**
 * struct ghvm_rm_waiter - who waits for a reply; guarded by state
 * @used: only once the whole request is on its way
 * @vm: for whom it asks; "": for nobody
 */
struct ghvm_rm_waiter {
	int failed; /* of sending */
	bool used;
	bool done;
	bool too_long;
	char vm[GHVM_NAME_SIZE];
	uint32_t id;
	uint16_t seq;
	uint8_t *buf; /* borrowed from the caller */
	size_t cap;
	size_t len;
};

/**
 * struct ghvm_rm - a connection
 * @call_lock: held over a call: one is outstanding, the others queue
 * @next_seq: guarded by call_lock
 * @rx_lock: over @assembler, @backlog, the handler and the receive queue
 * @state: over the rest, down to @sync_ms; @cond: a waiter is done or RM is dead
 * @call: the request in flight; @sync: the GET_VMID after it
 * @polling: the caller reads the queue itself and must be told by @wake_fd if another did
 */
struct ghvm_rm {
	struct ghvm_msgq q;
	int wake_fd;
	struct ghvm_vmid vmid;
	struct ghvm_callers callers;

	pthread_mutex_t call_lock;
	uint16_t next_seq;

	pthread_mutex_t rx_lock;
	struct ghvm_assembler assembler;
	struct ghvm_backlog backlog;
	ghvm_rm_on_notify on_notify;
	void *on_notify_data;

	pthread_mutex_t state;
	pthread_cond_t cond;
	struct ghvm_rm_waiter call;
	struct ghvm_rm_waiter sync;
	bool polling;
	pthread_t dispatcher;
	bool has_dispatcher;
	unsigned int call_ms;
	unsigned int sync_ms;

	ghvm_rm_on_trace on_trace; /* set before use by others */
	void *on_trace_data;
	atomic_bool dispatched;
	atomic_bool dead;
	atomic_uchar facts[GHVM_RM_FACTS];
};

/* Take everything queued: reads it, and tells who waits. */
int ghvm_rm_receive(struct ghvm_rm *rm);

/*
 * Is RM alive? A GET_VMID with a sequence number that no other request has; its answer
 * also proves that all earlier requests were executed (abi K.1). Holds call_lock, or nobody
 * else has the connection yet.
 */
int ghvm_rm_synchronise(struct ghvm_rm *rm, struct ghvm_vmid *ret);
