/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests that could not be given back: tried again with growing pauses, and on request.
 *
 * While they are here their pages stay guarded; if the manager ends they are in the
 * module's quarantine, from which the next one takes them. Thread: main.
 */
#pragma once

#include "daemon/manager/instance/instance.h"
#include "daemon/manager/core/loop.h"
#include "daemon/manager/core/op.h"
#include "ghvm/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct quarantined - one such guest
 * @guest: owned; NULL: pages of the module's quarantine that are nobody's to give back
 * @pages: still guarded
 * @may_run: for all that is known its guest runs
 * @why: of the last attempt
 */
struct quarantined {
	struct quarantined *next;
	struct guest *guest;
	char name[GHVM_NAME_SIZE];
	uint16_t vmid;
	uint64_t pages;
	bool may_run;
	unsigned int attempts;
	struct ghvm_error why;
};

/* @on_changed: figures of the VM @name did; "" for pages that are nobody's */
struct quarantine_calls {
	void (*on_changed)(void *data, const char *name);
};

/**
 * struct quarantine - embedded
 * @first_ms: the pause after which a fresh entry is tried again; each is twice the one before
 * @tried: what the operation works on, borrowed from @first's list
 * @wave: attempts since something last succeeded or came in: sets the pause
 */
struct quarantine {
	const struct quarantine_calls *calls;
	void *data;
	unsigned int first_ms;
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

/* @g: taken over. Return: 0; -ENOMEM, then the guest was freed, and its pages are in the module's
 * quarantine. */
int quarantine_add(struct quarantine *q, const char *name, struct guest *g,
		   const struct ghvm_error *why);
/* Pages of the module's quarantine that nobody can give back, as far as known of @name and @vmid.
 * Return: 0; -ENOMEM. */
int quarantine_count(struct quarantine *q, const char *name, struct ghvm_vmid vmid, uint64_t pages,
		     const struct ghvm_error *why);

/* How long it waits between the attempts of now and the next ones; ten seconds at first, at most
 * 64 times that. */
unsigned int quarantine_pause_ms(const struct quarantine *q);

/* Try all of them now. */
void quarantine_retry(struct quarantine *q);

bool quarantine_on_notify(struct quarantine *q, const struct ghvm_rm_notification *n);

/* May a guest @name be made? 0; -EBUSY: one may still run here (decision 13). */
int quarantine_check_name(const struct quarantine *q, const char *name, struct ghvm_error *err);

/* Pages of @name (NULL: of all), and the last reason, "" if there are none. */
uint64_t quarantine_pages(const struct quarantine *q, const char *name, const char **ret_why);
