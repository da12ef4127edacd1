/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests that could not be given back: tried again with growing pauses, and on request.
 *
 * While they are here their pages stay guarded; if the manager ends they are in the
 * module's quarantine, from which the next one takes them. Thread: main.
 */
#pragma once

#include "daemon/manager/guest.h"
#include "daemon/manager/loop.h"
#include "daemon/manager/op.h"
#include "libghvm/error.h"

#include <stddef.h>
#include <stdint.h>

/**
 * struct quarantined - one such guest
 * @guest: owned; NULL: pages of the module's quarantine without a readable tag
 * @pages: still guarded
 * @why: of the last attempt
 */
struct quarantined {
	struct quarantined *next;
	struct guest *guest;
	char name[GHVM_NAME_SIZE];
	uint16_t vmid;
	uint64_t pages;
	unsigned int attempts;
	struct ghvm_error why;
};

/* @on_changed: figures of the VM @name did; "" for pages that are nobody's */
struct quarantine_calls {
	void (*on_changed)(void *data, const char *name);
};

/**
 * struct quarantine - embedded
 * @tried: what the operation works on, borrowed from @first's list
 * @wave: attempts since something last succeeded or came in: sets the pause
 */
struct quarantine {
	const struct quarantine_calls *calls;
	void *data;
	struct quarantined *first;
	struct quarantined *tried;
	struct op op;
	struct loop_watch timer;
	unsigned int wave;
};

int quarantine_init(struct quarantine *q, struct loop *loop, const struct quarantine_calls *calls,
		    void *data);
/* Waits for an attempt that runs; the pages go to the module's quarantine. */
void quarantine_done(struct quarantine *q);

/* @g: taken over; may be NULL for pages that nobody can name. Return: 0; -ENOMEM, then
 * the guest was freed, and its pages are in the module's quarantine. */
int quarantine_add(struct quarantine *q, const char *name, struct guest *g, uint64_t pages,
		   const struct ghvm_error *why);

/* Try all of them now. */
void quarantine_retry(struct quarantine *q);

bool quarantine_on_notify(struct quarantine *q, const struct ghvm_rm_notification *n);

/* Pages of @name (NULL: of all), and the last reason, "" if there are none. */
uint64_t quarantine_pages(const struct quarantine *q, const char *name, const char **ret_why);
