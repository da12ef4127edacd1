/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internals of parcels, for parcel.c and parcel-*.c only.
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

/* parcel-lost.c */
enum ghvm_parcel_found ghvm_parcel_look_up(struct ghvm_parcel *p, struct ghvm_parcel_handle *ret);
/* Find RM's parcel of a LOST one and reclaim it. Return: 0, RM has none of its pages. */
int ghvm_parcel_find_lost(struct ghvm_parcel *p, struct ghvm_error *err);
/* Close the probe parcel, if there is one; if guarded, its page goes to the quarantine. */
void ghvm_parcel_drop_probe(struct ghvm_parcel *p);

/* parcel.c */
size_t ghvm_parcel_message_entries(const struct ghvm_parcel *p);
void ghvm_parcel_describe(const struct ghvm_parcel *p, enum ghvm_mem_trans trans,
			  struct ghvm_mem_acl acl[2], struct ghvm_mem_create *ret);
int ghvm_parcel_read_extents(struct ghvm_parcel *p, struct ghvm_error *err);
/* Write what is known of the parcel into its tag. */
int ghvm_parcel_note(struct ghvm_parcel *p, struct ghvm_error *err);

/* parcel-reclaim.c: the handle proved wrong; make the parcel LOST. */
void ghvm_parcel_lose(struct ghvm_parcel *p);
/*
 * Reclaim by handle. Return: 0, two replies agree that RM has no parcel of that handle.
 * @ret_existed: one of these replies was a successful RECLAIM.
 */
int ghvm_parcel_reclaim_handle(struct ghvm_parcel *p, struct ghvm_parcel_handle handle,
			       bool sanitise, bool *ret_existed, struct ghvm_error *err);

/* parcel-assign.c: no-ops where the platform needs no assignment. */
int ghvm_parcel_assign(struct ghvm_parcel *p, enum ghvm_mem_trans trans, struct ghvm_error *err);
int ghvm_parcel_unassign(struct ghvm_parcel *p, struct ghvm_error *err);
