/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resource manager: memory parcels. Codec and call, no policy (abi C.6, K.2, K.9).
 *
 * One message carries at most GHVM_RM_MEM_ENTRIES_MAX entries, because RM does not answer larger
 * ones when its heap is short; parcel.c splits the list. Lists that RM would refuse, or that
 * could hurt the primary VM, are refused with -EINVAL and not sent. Entries must come from pin
 * extents.
 *
 * Thread: any but the dispatcher's. All return 0 or what ghvm_rm_call() returns, with
 * the sentence in @err; outputs are untouched on failure.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/hyp/host.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/rpc.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_RM_MEM_ENTRIES_MAX 64 /* of a create or append, abi K.2 */
#define GHVM_RM_MEM_LOOKUP_MAX 512 /* of a look-up, abi K.6 */
#define GHVM_RM_MEM_ACL_MAX 8

enum ghvm_mem_trans {
	GHVM_MEM_LEND,
	GHVM_MEM_SHARE,
};

enum ghvm_mem_type {
	GHVM_MEM_NORMAL = 0,
	GHVM_MEM_IO = 1,
};

/* The only combinations that RM accepts. */
#define GHVM_MEM_R 4
#define GHVM_MEM_RX 5
#define GHVM_MEM_RW 6
#define GHVM_MEM_RWX 7

struct ghvm_mem_acl {
	struct ghvm_vmid vmid;
	uint8_t rights;
};

/**
 * struct ghvm_mem_create - a parcel to be created
 * @trans: LEND: the ACL must not contain the host; SHARE: it must
 * @sanitise: RM zeroes it when creating the parcel; normal memory only
 * @append: more entries follow by ghvm_rm_mem_append()
 * @acl: borrowed, 1 to GHVM_RM_MEM_ACL_MAX, each VM once
 * @extents: borrowed, 1 to GHVM_RM_MEM_ENTRIES_MAX (a look-up: GHVM_RM_MEM_LOOKUP_MAX),
 *           page aligned, none empty
 */
struct ghvm_mem_create {
	enum ghvm_mem_trans trans;
	enum ghvm_mem_type type;
	bool sanitise;
	bool append;
	uint32_t label;
	const struct ghvm_mem_acl *acl;
	size_t n_acl;
	const struct ghvm_extent *extents;
	size_t n_extents;
};

/* MEM_LEND or MEM_SHARE. On -ETIMEDOUT the parcel may exist: see ghvm_rm_mem_lookup_sgl(). */
int ghvm_rm_mem_create(struct ghvm_rm *rm, const struct ghvm_mem_create *m,
		       struct ghvm_parcel_handle *ret, struct ghvm_error *err);

/* Add entries to a parcel created with @append; @done: these are the last. */
int ghvm_rm_mem_append(struct ghvm_rm *rm, struct ghvm_parcel_handle handle,
		       const struct ghvm_extent *extents, size_t n_extents, bool done,
		       struct ghvm_error *err);

/*
 * Take a parcel back. @bytes: its size, for which a sanitising RM gets more time (decision 27).
 * MEM_INUSE: a VM still has it; HANDLE_INVALID: there is no such parcel.
 */
int ghvm_rm_mem_reclaim(struct ghvm_rm *rm, struct ghvm_parcel_handle handle, bool sanitise,
			uint64_t bytes, struct ghvm_error *err);

enum ghvm_mem_notify {
	GHVM_MEM_NOTIFY_SHARED = 1, /* asks the VM to accept it */
	GHVM_MEM_NOTIFY_RECALL = 8, /* asks the VM to release it */
};

/**
 * ghvm_rm_mem_notify() - send a VM a notification about a parcel of this host
 * @tag: passed to the guest; RM keeps the first tag of a parcel and answers ARGUMENT_INVALID to
 *       another
 *
 * A VM that is READY, not RUNNING, accepts shared memory at once.
 *
 * Also returns: -EOPNOTSUPP, not sent: the VM is not known to have an RM node in its tree
 * (GHVM_RM_FACT_LINKED), without which the message would kill RM (abi K.6).
 */
int ghvm_rm_mem_notify(struct ghvm_rm *rm, struct ghvm_parcel_handle handle,
		       enum ghvm_mem_notify what, uint32_t tag, struct ghvm_vmid vmid,
		       struct ghvm_error *err);

/**
 * struct ghvm_rm_mem_event - notification MEM_ACCEPTED or MEM_RELEASED
 * @vmid: the VM that accepted or released it; @tag: of the parcel
 *
 * The guest sends it and may lie: only RECLAIM tells whether a parcel is in use.
 */
struct ghvm_rm_mem_event {
	struct ghvm_parcel_handle handle;
	struct ghvm_vmid vmid;
	uint32_t tag;
	bool accepted;
};

/* 0; -ENOMSG: another notification; -EBADMSG. Thread: any. */
int ghvm_rm_mem_decode_event(const struct ghvm_rm_notification *n, struct ghvm_rm_mem_event *ret);

/*
 * Look up the complete parcel of this host with exactly these lists. LOOKUP_FAILED: there is
 * none.
 */
int ghvm_rm_mem_lookup_sgl(struct ghvm_rm *rm, const struct ghvm_mem_create *m,
			   struct ghvm_parcel_handle *ret, struct ghvm_error *err);
