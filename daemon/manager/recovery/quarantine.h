/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests with memory that could not be returned. The teardown is retried at growing intervals and on request.
 *
 * The pages stay guarded. When the manager exits they stay in the module's quarantine, from which the next
 * manager adopts them. Thread: main.
 */
#pragma once

#include "daemon/manager/instance/instance.h"
#include "daemon/manager/core/loop.h"
#include "daemon/manager/core/op.h"
#include "ghvm/error.h"
#include "libghvm/rm/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct quarantined - an entry
 * @guest: owned; NULL: pages in the module's quarantine without a known owner
 * @pages: number of guarded pages
 * @may_run: the guest may still run
 * @awaits_peer: another guest, which has not ended, has its pages, and nothing else is left
 * @why: error of the last attempt
 */
struct quarantined {
	struct quarantined *next;
	struct guest *guest;
	char name[GHVM_NAME_SIZE];
	uint16_t vmid;
	uint64_t pages;
	bool may_run;
	bool awaits_peer;
	unsigned int attempts;
	struct ghvm_error why;
};

/* @on_changed: the figures of the VM @name have changed; "": those of pages without an owner */
struct quarantine_calls {
	void (*on_changed)(void *data, const char *name);
};

/**
 * struct quarantine - embedded
 * @first_ms: first pause; each pause is twice the previous one
 * @tried: entry of the running operation, borrowed from the list
 * @wave: attempts since the last success or the last new entry; determines the pause
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
/* Waits for a running attempt; the pages stay in the module's quarantine. */
void quarantine_done(struct quarantine *q);

/* @g: taken over. Return: 0; -ENOMEM: the guest was freed, its pages stay in the module's quarantine. */
int quarantine_add(struct quarantine *q, const char *name, struct guest *g,
		   const struct ghvm_error *why);
/* Add pages of the module's quarantine that cannot be returned. @name, @vmid: of the guest, if known. */
int quarantine_count(struct quarantine *q, const char *name, struct ghvm_vmid vmid, uint64_t pages,
		     const struct ghvm_error *why);

/* Pause before the next attempts: 10 s at first, at most 640 s. */
unsigned int quarantine_pause_ms(const struct quarantine *q);

/* Retry all entries now. */
void quarantine_retry(struct quarantine *q);
/* A VM has ended: retry the entries with a region that another guest had. */
void quarantine_retry_peers(struct quarantine *q);

bool quarantine_on_notify(struct quarantine *q, const struct ghvm_rm_notification *n);

/* May a guest @name start? Return: 0; -EBUSY: an earlier one may still run (decision 13). */
int quarantine_check_name(const struct quarantine *q, const char *name, struct ghvm_error *err);

/* Number of pages of @name (NULL: of all), without those that only await another VM's end. @ret_why: the last error, "" if there are no pages. */
uint64_t quarantine_pages(const struct quarantine *q, const char *name, const char **ret_why);
