/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of parcels, for parcel.c, parcel-lost.c and parcel-assign.c only.
 */
#pragma once

#include "libghvm/parcel.h"
#include "libghvm/rm-mem.h"

/* parcel-lost.c: find what RM has of a LOST parcel and reclaim it. 0: RM has nothing now. */
int ghvm_parcel_find_lost(struct ghvm_parcel *p, struct ghvm_error *err);
/* Close its probe, if there is one; guarded it goes to the quarantine. */
void ghvm_parcel_drop_probe(struct ghvm_parcel *p);

/* parcel.c */
size_t ghvm_parcel_message_entries(const struct ghvm_parcel *p);
void ghvm_parcel_describe(const struct ghvm_parcel *p, enum ghvm_mem_trans trans,
			  struct ghvm_mem_acl acl[2], struct ghvm_mem_create *ret);
int ghvm_parcel_read_extents(struct ghvm_parcel *p, struct ghvm_error *err);
/* RM has confirmed: @p is GUARDED, without a handle. */
void ghvm_parcel_reclaimed(struct ghvm_parcel *p);
/* 0: RM has no (more) parcel of that handle. */
int ghvm_parcel_reclaim_handle(struct ghvm_parcel *p, struct ghvm_parcel_handle handle,
			       bool sanitise, struct ghvm_error *err);

/* parcel-assign.c: nothing, where the platform does not need it. */
int ghvm_parcel_assign(struct ghvm_parcel *p, struct ghvm_error *err);
int ghvm_parcel_unassign(struct ghvm_parcel *p, struct ghvm_error *err);
