/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of parcels, for parcel.c and parcel-*.c only.
 */
#pragma once

#include "libghvm/parcel.h"
#include "libghvm/rm-mem.h"

/**
 * enum ghvm_parcel_found - where RM has just these pages
 * @GHVM_PARCEL_UNKNOWN: there is no telling
 * @GHVM_PARCEL_NO_SUCH_QUESTION: nor will there ever be
 * @GHVM_PARCEL_ABSENT: it says that it has them in no parcel of just these
 */
enum ghvm_parcel_found {
	GHVM_PARCEL_UNKNOWN,
	GHVM_PARCEL_NO_SUCH_QUESTION,
	GHVM_PARCEL_ABSENT,
	GHVM_PARCEL_FOUND,
};

/* parcel-lost.c */
enum ghvm_parcel_found ghvm_parcel_look_up(struct ghvm_parcel *p, struct ghvm_parcel_handle *ret);
/* Find what RM has of a LOST parcel and reclaim it. 0: RM has nothing now. */
int ghvm_parcel_find_lost(struct ghvm_parcel *p, struct ghvm_error *err);
/* Close its probe, if there is one; guarded it goes to the quarantine. */
void ghvm_parcel_drop_probe(struct ghvm_parcel *p);

/* parcel.c */
size_t ghvm_parcel_message_entries(const struct ghvm_parcel *p);
void ghvm_parcel_describe(const struct ghvm_parcel *p, enum ghvm_mem_trans trans,
			  struct ghvm_mem_acl acl[2], struct ghvm_mem_create *ret);
int ghvm_parcel_read_extents(struct ghvm_parcel *p, struct ghvm_error *err);
/* What is known of it goes into its tag. */
int ghvm_parcel_note(struct ghvm_parcel *p, struct ghvm_error *err);

/* parcel-reclaim.c: its handle is not to be believed. */
void ghvm_parcel_lose(struct ghvm_parcel *p);
/*
 * 0: RM has no parcel of that handle, which it has shown twice.
 * @ret_existed: and one of these was that it has given it back
 */
int ghvm_parcel_reclaim_handle(struct ghvm_parcel *p, struct ghvm_parcel_handle handle,
			       bool sanitise, bool *ret_existed, struct ghvm_error *err);

/* parcel-assign.c: nothing, where the platform does not need it. */
int ghvm_parcel_assign(struct ghvm_parcel *p, struct ghvm_error *err);
int ghvm_parcel_unassign(struct ghvm_parcel *p, struct ghvm_error *err);
