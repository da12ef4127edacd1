/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions: add and remove regions of a running guest, all of them or none.
 *
 * Begin, add and remove, then commit or free. A region is in the machine's map from add() or
 * remove() on, as RESERVED or REMOVING, so its label and addresses are taken. Nothing is sent to
 * RM before commit() (decision 15).
 *
 * Thread: that of the machine's operations, one at a time; a machine has one transaction.
 */
#pragma once

#include "ghvm/api.h"
#include "ghvm/error.h"
#include "ghvm/machine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

GHVM_BEGIN_DECLS

#define GHVM_TRANSACTION_CHANGES_MAX 16

struct ghvm_transaction;

/**
 * struct ghvm_transaction_add - a requested region, not trusted
 * @label: unique in the VM, not 0 (which is RAM)
 * @ipa: address at which the guest is asked to map it; page aligned
 * @size: bytes, page aligned, at most the size of @memfd
 * @readonly: the guest may only read it
 * @memfd: sealed against shrinking and growing; duplicated, and kept open as long as the region
 *         exists
 */
struct ghvm_transaction_add {
	uint32_t label;
	uint64_t ipa;
	uint64_t size;
	bool readonly;
	int memfd;
};

/**
 * ghvm_transaction_new() - begin a transaction
 * @m: borrowed, outlives the transaction; its guest runs
 *
 * Return: 0; -EOPNOTSUPP its guest has no RM node, so it cannot be notified (and a notification
 * would kill RM, abi K.6); -EBUSY it does not run; -EALREADY it has a transaction; -ENOMEM.
 */
int ghvm_transaction_new(struct ghvm_machine *m, struct ghvm_transaction **ret,
			 struct ghvm_error *err);

/**
 * ghvm_transaction_add() - add a region
 *
 * Return: 0; -EINVAL, -EOVERFLOW, -EEXIST as ghvm_region_add_begin(); -EPERM the memfd is not
 * sealed; -EBADF not a memfd; -E2BIG too many changes, or the memfd is too short; -ENOMEM. On
 * failure the transaction is unchanged.
 */
int ghvm_transaction_add(struct ghvm_transaction *t, const struct ghvm_transaction_add *a,
			 struct ghvm_error *err);

/**
 * ghvm_transaction_remove() - remove a region that a transaction has added
 *
 * Return: 0; -ENOENT no such label; -EBUSY it is being removed; -EPERM it is part of the VM;
 * -E2BIG too many changes.
 */
int ghvm_transaction_remove(struct ghvm_transaction *t, uint32_t label, struct ghvm_error *err);

/* A change has two messages; an added region two more if they do not fit into one. */
#define GHVM_TRANSACTION_MESSAGES_MAX (4 * GHVM_TRANSACTION_CHANGES_MAX)

/**
 * ghvm_transaction_messages() - the messages that a commit sends to RM, in order
 *
 * A commit also asks for the guest's state, before and while it waits for the guest. The number
 * of MEM_APPENDs is known once memory is pinned; until then it is a range.
 *
 * Return: number of messages in @ret; 0 once the guest has ended.
 */
size_t ghvm_transaction_messages(const struct ghvm_transaction *t,
				 struct ghvm_plan_message ret[GHVM_TRANSACTION_MESSAGES_MAX]);

/* The steps of commit() as JSON; malloc'ed NUL-terminated text, or NULL. */
char *ghvm_transaction_to_json(const struct ghvm_transaction *t);

/**
 * ghvm_transaction_commit() - execute all changes or none
 * @ms: time for the guest to release removed regions
 *
 * Pins, guards and shares added regions; recalls removed ones, waits until the guest has released
 * them and takes them back; announces the added ones to the guest.
 *
 * Return: 0; -ETIMEDOUT the guest keeps a region; -E2BIG, -ENOSPC over the host's budget; RM's
 * refusals as ghvm_rm_call(). After a failure everything is as before; what could not be undone
 * stays guarded, is named in @err, and teardown() takes it back.
 */
int ghvm_transaction_commit(struct ghvm_transaction *t, unsigned int ms, struct ghvm_error *err);

/* End the transaction; without a commit() nothing has happened. Accepts NULL. */
void ghvm_transaction_free(struct ghvm_transaction *t);
void ghvm_transaction_freep(struct ghvm_transaction **t);

/**
 * struct ghvm_machine_region - a region, for status queries
 * @accepted: the guest has confirmed that it mapped it, or it is part of the VM
 * @added: added by a transaction
 */
struct ghvm_machine_region {
	uint32_t label;
	uint64_t ipa;
	uint64_t size;
	bool lent;
	bool readonly;
	bool added;
	bool accepted;
	bool removing;
};

/* The machine's regions, by rising address. Thread: any. Return: how many were written. */
size_t ghvm_machine_regions(struct ghvm_machine *m, struct ghvm_machine_region *ret, size_t max);

GHVM_END_DECLS
