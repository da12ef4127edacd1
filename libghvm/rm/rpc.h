/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resource manager RPC: fragments, sequence numbers, the call in flight, notifications.
 *
 * One call is outstanding at a time (abi C.2); further callers queue. The receive queue is read
 * by a dispatcher: an event loop that calls ghvm_rm_dispatch() when ghvm_rm_fd() is readable,
 * after ghvm_rm_set_dispatched(rm, true). Without a dispatcher ghvm_rm_call() reads it, so that a
 * 60-line program works. Messages that would kill an RM (abi I.7, K.6) are refused by the layers
 * above.
 */
#pragma once

#include "ghvm/rm.h"
#include "libghvm/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define GHVM_RM_MSG_MAX 14384 /* payload bytes of a message, abi C.1 */

/**
 * struct ghvm_rm_notification - a notification with its payload not yet decoded
 * @id: message id (abi C.5.1, C.7)
 * @payload: borrowed for the call
 */
struct ghvm_rm_notification {
	uint32_t id;
	struct ghvm_get payload;
};

/* Shorten the 10 s deadline (tests). Milliseconds. */
void ghvm_rm_set_deadline(struct ghvm_rm *rm, unsigned int call_ms, unsigned int sync_ms);

/*
 * Without a dispatcher: wait for packets, at most @ms, and read them. False: a dispatcher reads them, nothing was
 * waited for. Thread: any but the dispatcher's.
 */
bool ghvm_rm_listen(struct ghvm_rm *rm, unsigned int ms);

/**
 * struct ghvm_rm_scope - a scope in which the calls of a thread belong to one VM
 */
struct ghvm_rm_scope {
	struct ghvm_rm *rm;
	const char *before;
} __attribute__((unused)); /* clang: only its cleanup is used */

/*
 * For traces: the calling thread's requests until ghvm_rm_leave() belong to the VM @name, which
 * is borrowed until then. Scopes nest; ghvm_rm_leave() suits _cleanup_. Thread: any.
 */
struct ghvm_rm_scope ghvm_rm_enter(struct ghvm_rm *rm, const char *name);
void ghvm_rm_leave(struct ghvm_rm_scope *s);

/* For traces: notifications of @vmid belong to the VM @name. Thread: any. */
void ghvm_rm_name_vmid(struct ghvm_rm *rm, struct ghvm_vmid vmid, const char *name);

/**
 * ghvm_rm_call() - one request and its reply
 * @rm: Thread: any but the dispatcher's
 * @id: message id
 * @req: the complete payload
 * @ret: cursor over the reply without its status word; points into @req->buf,
 *       which therefore must have room for GHVM_RM_MSG_MAX bytes
 * @err: on a refusal only rm_message and rm_code are set; the caller knows what was asked and
 *       writes the sentence
 *
 * If a packet could not be sent, the message is sent again, provided that RM cannot have executed
 * it.
 *
 * Return: 0; -EREMOTEIO refused; -ETIMEDOUT sent, no answer, outcome unknown (RM may be
 * dead now: ghvm_rm_dead()); -EHOSTDOWN RM is dead, not sent; -EBADMSG malformed reply;
 * -EMSGSIZE request too long, not sent.
 */
int ghvm_rm_call(struct ghvm_rm *rm, uint32_t id, const struct ghvm_put *req, struct ghvm_get *ret,
		 struct ghvm_error *err);

/* As ghvm_rm_call(), with a deadline @extra_ms later (a sanitising RECLAIM, decision 27). */
int ghvm_rm_call_slow(struct ghvm_rm *rm, uint32_t id, unsigned int extra_ms,
		      const struct ghvm_put *req, struct ghvm_get *ret, struct ghvm_error *err);

/*
 * Facts about a VMID that this connection knows without asking RM. vm-calls.c and mem-calls.c use them
 * to avoid messages that kill an RM (abi K.6). Thread: any.
 */
enum ghvm_rm_fact {
	GHVM_RM_FACT_ALLOCATED = 1,
	GHVM_RM_FACT_CONFIGURED = 2,
	GHVM_RM_FACT_LINKED = 4, /* its device tree has an RM node: it can talk to RM */
};
void ghvm_rm_fact_set(struct ghvm_rm *rm, struct ghvm_vmid vmid, enum ghvm_rm_fact fact);
void ghvm_rm_fact_clear(struct ghvm_rm *rm, struct ghvm_vmid vmid);
bool ghvm_rm_fact(const struct ghvm_rm *rm, struct ghvm_vmid vmid, enum ghvm_rm_fact fact);
