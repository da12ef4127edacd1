/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a connection, for rpc.c and connect.c only.
 */
#pragma once

#include "libghvm/rm/backlog.h"
#include "libghvm/trace/attribution.h"
#include "libghvm/rm/msgq.h"
#include "libghvm/rm/packet.h"
#include "libghvm/rm/rpc.h"

#include <pthread.h>
#include <stdatomic.h>

#define GHVM_RM_FACTS 256 /* VMIDs with facts; RM uses lower ones */

/**
 * struct ghvm_rm_waiter - a wait for one reply; guarded by state
 * @used: set just before the last packet of the request is sent
 * @vm: name of the VM that the request belongs to; "" if none
 */
struct ghvm_rm_waiter {
	int failed; /* errno of sending */
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
 * @call_lock: held during a call: one is outstanding, the others queue
 * @next_seq: guarded by call_lock
 * @rx_lock: guards @assembler, @backlog, the handler and the receive queue
 * @state: guards the members from @cond to @sync_ms; @cond: a waiter is done or RM is dead
 * @call: the request in flight; @sync: the GET_VMID after it
 * @polling: the caller polls the queue itself; if another thread reads its reply, @wake_fd wakes
 *           it
 */
struct ghvm_rm {
	struct ghvm_msgq q;
	int wake_fd;
	struct ghvm_vmid vmid;
	struct ghvm_callers callers;

	pthread_mutex_t call_lock;
	uint16_t next_seq;

	pthread_mutex_t rx_lock;
	uint64_t receive_fails_since; /* ns of CLOCK_MONOTONIC; 0: the last receive worked */
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

	ghvm_rm_on_trace on_trace; /* set before other threads use it */
	void *on_trace_data;
	atomic_bool dispatched;
	atomic_bool dead;
	atomic_uchar facts[GHVM_RM_FACTS];
};

/* Read the queue, deliver its messages and wake waiters. */
int ghvm_rm_receive(struct ghvm_rm *rm);

/*
 * Prove that RM is alive, by a GET_VMID with a sequence number that no other request has. Its
 * reply also proves that all earlier requests were executed (abi K.1). The caller holds
 * call_lock, or is the only user of @rm.
 */
int ghvm_rm_synchronise(struct ghvm_rm *rm, struct ghvm_vmid *ret);
