/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of a parcel need of each other: parcel.c (pin, guard, tag), parcel-give.c (lend and share),
 * parcel-reclaim.c, parcel-lost.c (search) and parcel-assign.c (secure firmware).
 *
 * Only parcel.c clears a guard, and only of a GUARDED parcel. parcel-give.c makes a parcel LOST before it sends
 * a request that may give its pages to RM. There are two ways back to GUARDED: that request was never sent; or
 * ghvm_parcel_reclaim() returns 0, when two of RM's replies agree that RM has none of the pages.
 *
 * The functions below change the state of a parcel only where that is said. Thread: that of the parcel's owner.
 */
#pragma once

#include "libghvm/memory/parcel.h"
#include "libghvm/rm/mem-calls.h"

/**
 * enum ghvm_parcel_found - result of looking up a parcel by its pages
 * @GHVM_PARCEL_UNKNOWN: not known
 * @GHVM_PARCEL_NO_SUCH_QUESTION: RM does not implement the look-up
 * @GHVM_PARCEL_ABSENT: RM has no parcel of exactly these pages
 */
enum ghvm_parcel_found {
	GHVM_PARCEL_UNKNOWN,
	GHVM_PARCEL_NO_SUCH_QUESTION,
	GHVM_PARCEL_ABSENT,
	GHVM_PARCEL_FOUND,
};

#define GHVM_PARCEL_ACL_MAX 3 /* two guests and the host */

/* --- parcel.c --- */

/* Read the extents of the pin into @extents. */
int ghvm_parcel_read_extents(struct ghvm_parcel *p, struct ghvm_error *err);
/* Write what is known of a guarded parcel into its tag, for a later process. */
int ghvm_parcel_note(struct ghvm_parcel *p, struct ghvm_error *err);

/* --- parcel-give.c --- */

/* Entries that RM takes in one message. */
size_t ghvm_parcel_message_entries(const struct ghvm_parcel *p);
/* Fill the request that creates the parcel. @ret borrows @acl and the extents. */
void ghvm_parcel_describe(const struct ghvm_parcel *p, enum ghvm_mem_trans trans,
			  struct ghvm_mem_acl acl[GHVM_PARCEL_ACL_MAX],
			  struct ghvm_mem_create *ret);

/* --- parcel-reclaim.c --- */

/* The handle proved wrong: forget it. The state becomes LOST. */
void ghvm_parcel_lose(struct ghvm_parcel *p);
/*
 * Reclaim whatever parcel has @handle, which need not be that of @p. Return: 0, two replies agree that RM has
 * no parcel of that handle.
 * @ret_existed: one of these replies was a successful RECLAIM.
 */
int ghvm_parcel_reclaim_handle(struct ghvm_parcel *p, struct ghvm_parcel_handle handle,
			       bool sanitise, bool *ret_existed, struct ghvm_error *err);

/* --- parcel-lost.c --- */

/* Ask RM once for the parcel of exactly these pages. */
enum ghvm_parcel_found ghvm_parcel_look_up(struct ghvm_parcel *p, struct ghvm_parcel_handle *ret);
/* Find RM's parcel of a LOST one and reclaim it. Return: 0, RM has none of its pages. */
int ghvm_parcel_find_lost(struct ghvm_parcel *p, struct ghvm_error *err);
/* Close the probe parcel, if there is one; if guarded, its page goes to the quarantine. */
void ghvm_parcel_drop_probe(struct ghvm_parcel *p);

/* --- parcel-assign.c; they do nothing where the platform needs no assignment --- */

/* Before RM hears of the pages: make each guest their owner, and for SHARE also this host. */
int ghvm_parcel_assign(struct ghvm_parcel *p, enum ghvm_mem_trans trans, struct ghvm_error *err);
/* After RM has given the pages back, before the guard is cleared: make this host their owner. */
int ghvm_parcel_unassign(struct ghvm_parcel *p, struct ghvm_error *err);
