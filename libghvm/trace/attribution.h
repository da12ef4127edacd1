/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attributes messages to and from the resource manager to VMs, for traces (rm/rpc.c).
 *
 * A request is attributed to the VM that its thread works for. The thread has to name that VM
 * beforehand, as neither ALLOCATE nor its refusal names one. A notification is attributed to the
 * owner of the VMID in it.
 */
#pragma once

#include "ghvm/types.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* For ghvm_rm_enter(): the calls of this thread are not traced, as they concern no VM. */
#define GHVM_CALLER_UNSEEN "?"

#define GHVM_CALLER_VMIDS 256	/* RM uses lower ones */
#define GHVM_CALLER_THREADS 128 /* twice the possible VMs; further threads have no VM */

/**
 * struct ghvm_caller - a thread that works for a VM
 * @name: borrowed from the thread; NULL: the slot is free
 */
struct ghvm_caller {
	pthread_t thread;
	const char *name;
};

/**
 * struct ghvm_callers - threads and VMIDs of one connection, with their VMs
 * @threads: guarded by @lock
 * @n_threads: slots up to the last one in use, guarded by @lock
 * @names: by VMID, guarded by @lock; "": the VMID has no owner
 */
struct ghvm_callers {
	pthread_mutex_t lock;
	struct ghvm_caller threads[GHVM_CALLER_THREADS];
	size_t n_threads;
	char names[GHVM_CALLER_VMIDS][GHVM_NAME_SIZE];
};

void ghvm_callers_init(struct ghvm_callers *c);
void ghvm_callers_done(struct ghvm_callers *c);

/**
 * ghvm_callers_enter() - set the VM that the calling thread works for
 * @name: borrowed until the next call; NULL: no VM
 *
 * Return: the VM set before. Thread: any.
 */
const char *ghvm_callers_enter(struct ghvm_callers *c, const char *name);

/* The VM that the calling thread works for; "" if none. */
void ghvm_callers_current(struct ghvm_callers *c, char ret[GHVM_NAME_SIZE]);

/* Set the owner of @vmid; "" clears it. Thread: any. */
void ghvm_callers_name_vmid(struct ghvm_callers *c, struct ghvm_vmid vmid, const char *name);

/* The owner of the VMID in a notification, which is not trusted; "": unknown. Thread: any. */
void ghvm_callers_notified(struct ghvm_callers *c, uint32_t id, const uint8_t *payload, size_t len,
			   char ret[GHVM_NAME_SIZE]);
