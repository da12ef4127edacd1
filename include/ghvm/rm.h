/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection to the resource manager. A host has one; all its machines share it.
 *
 * Messages of the resource manager are read by a dispatcher: an event loop that calls
 * ghvm_rm_dispatch() when ghvm_rm_fd() is readable, after ghvm_rm_set_dispatched(rm, true). Without
 * a dispatcher a function that waits for an answer reads them itself, so a program without an event
 * loop works.
 *
 * Thread: any, unless a function says otherwise. fork(2): a child must not use the connection of its
 * parent, since both would read one queue; it may close it.
 */
#pragma once

#include "ghvm/api.h"
#include "ghvm/error.h"
#include "ghvm/host.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

GHVM_BEGIN_DECLS

struct ghvm_rm;

/* A notification, for ghvm_machine_on_notify(). */
struct ghvm_rm_notification;

typedef void (*ghvm_rm_on_notify)(void *data, const struct ghvm_rm_notification *n);
/*
 * Each complete message, for traces. @vm: name of the VM it belongs to, "" if none or unknown.
 * @dir: '>' request, '<' reply, '!' notification.
 */
typedef void (*ghvm_rm_on_trace)(void *data, const char *vm, char dir, uint32_t id, uint16_t seq,
				 const uint8_t *payload, size_t len);

/**
 * ghvm_rm_new() - connect to the resource manager
 * @host: borrowed, outlives the result; not a grant
 * @ret: owned, ghvm_rm_free()
 *
 * Binds RM rx (-EBUSY: another process has it), drains the receive queue and synchronises with a
 * GET_VMID under a random sequence number (abi K.1). Notifications read meanwhile are kept and
 * delivered by the first ghvm_rm_dispatch() with a handler. -ETIMEDOUT: RM does not answer.
 */
int ghvm_rm_new(struct ghvm_host *host, struct ghvm_rm **ret, struct ghvm_error *err);
void ghvm_rm_free(struct ghvm_rm *rm);
void ghvm_rm_freep(struct ghvm_rm **rm);

/* The VMID of this host, from the synchronisation. */
struct ghvm_vmid ghvm_rm_vmid(const struct ghvm_rm *rm);

/* True once a call and the synchronisation after it went unanswered (decision 27). */
bool ghvm_rm_dead(const struct ghvm_rm *rm);

/* The receive eventfd, borrowed. When it is readable call ghvm_rm_dispatch(). */
int ghvm_rm_fd(const struct ghvm_rm *rm);

/*
 * Set whether there is a dispatcher. A dispatcher that leaves sets false; calls in flight then
 * read the queue themselves and call the handler. Thread: any.
 */
void ghvm_rm_set_dispatched(struct ghvm_rm *rm, bool dispatched);

/* Read the queue. Thread: the dispatcher's; without a dispatcher, a caller's. */
int ghvm_rm_dispatch(struct ghvm_rm *rm);

/*
 * The handlers run in the dispatching thread and must not call RM. Set before other threads use
 * @rm.
 */
void ghvm_rm_set_on_notify(struct ghvm_rm *rm, ghvm_rm_on_notify fn, void *data);
void ghvm_rm_set_on_trace(struct ghvm_rm *rm, ghvm_rm_on_trace fn, void *data);

GHVM_END_DECLS
