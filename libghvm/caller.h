/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which VM a message to or from the resource manager is about, for traces (rm.c).
 *
 * A request is its thread's: who works for a VM says so first, since neither an ALLOCATE nor
 * its refusal names one. A notification is that of the VMID in it.
 */
#pragma once

#include "libghvm/types.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* For ghvm_rm_enter(): nobody has to see what is said, as it is about no VM that there is. */
#define GHVM_CALLER_UNSEEN "?"

#define GHVM_CALLER_VMIDS 256	/* RM's are below */
#define GHVM_CALLER_THREADS 128 /* twice the VMs that there can be; any more are nobody's */

/**
 * struct ghvm_caller - a thread that works for a VM
 * @name: borrowed from that thread; NULL: not used
 */
struct ghvm_caller {
	pthread_t thread;
	const char *name;
};

/**
 * struct ghvm_callers - who is who on one connection
 * @threads: guarded by @lock
 * @names: by VMID, guarded by @lock; "": nobody's
 */
struct ghvm_callers {
	pthread_mutex_t lock;
	struct ghvm_caller threads[GHVM_CALLER_THREADS];
	char names[GHVM_CALLER_VMIDS][GHVM_NAME_SIZE];
};

void ghvm_callers_init(struct ghvm_callers *c);
void ghvm_callers_done(struct ghvm_callers *c);

/**
 * ghvm_callers_enter() - this thread works for a VM from now on
 * @name: borrowed until another is set; NULL: for none
 *
 * Return: for whom before. Thread: any.
 */
const char *ghvm_callers_enter(struct ghvm_callers *c, const char *name);

/* For whom this thread works; "" if for nobody. */
void ghvm_callers_current(struct ghvm_callers *c, char ret[GHVM_NAME_SIZE]);

/* Whose a VMID is; "": nobody's any more. Thread: any. */
void ghvm_callers_name_vmid(struct ghvm_callers *c, struct ghvm_vmid vmid, const char *name);

/* Of a notification, which is not trusted; "": nobody's. Thread: any. */
void ghvm_callers_notified(struct ghvm_callers *c, uint32_t id, const uint8_t *payload, size_t len,
			   char ret[GHVM_NAME_SIZE]);
