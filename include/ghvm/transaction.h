/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regions that come and go while the guest runs: all of a transaction's, or none.
 *
 * begin, add and remove, then commit or free. From add() and remove() on a region stands in
 * the machine's map, RESERVED or REMOVING, so nobody else can take its label or addresses.
 * Nothing is sent to RM before commit() (decision 15).
 *
 * Thread: that of the machine's operations, one at a time; a machine has one transaction.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/machine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_TRANSACTION_CHANGES_MAX 16

struct ghvm_transaction;

/**
 * struct ghvm_transaction_add - a region as somebody asks for it: not yet trusted
 * @label: unique in the VM, not 0 (which is RAM)
 * @ipa: where the guest is asked to map it; page aligned
 * @size: bytes, page aligned, not more than @memfd has
 * @readonly: the guest may only read it
 * @memfd: sealed against shrinking and growing; duplicated, and kept while the region lives
 */
struct ghvm_transaction_add {
	uint32_t label;
	uint64_t ipa;
	uint64_t size;
	bool readonly;
	int memfd;
};

/**
 * ghvm_transaction_new() - begin
 * @m: borrowed, outlives the transaction; its guest runs
 *
 * Return: 0; -EOPNOTSUPP its guest has no link to RM, so it cannot be told (and to try would
 * kill RM, abi K.6); -EBUSY it does not run; -EALREADY it has a transaction; -ENOMEM.
 */
int ghvm_transaction_new(struct ghvm_machine *m, struct ghvm_transaction **ret,
			 struct ghvm_error *err);

/**
 * ghvm_transaction_add() - one more region, as part of it
 *
 * Return: 0; -EINVAL, -EOVERFLOW, -EEXIST as ghvm_region_add_begin(); -EPERM the memfd is not
 * sealed; -EBADF it is none; -E2BIG too many changes, or it has fewer bytes; -ENOMEM.
 * On failure the transaction is as before.
 */
int ghvm_transaction_add(struct ghvm_transaction *t, const struct ghvm_transaction_add *a,
			 struct ghvm_error *err);

/**
 * ghvm_transaction_remove() - one region less, as part of it; only regions that were added by
 * a transaction can go
 *
 * Return: 0; -ENOENT no such label; -EBUSY it is being removed; -EPERM it is the machine's
 * own; -E2BIG too many changes.
 */
int ghvm_transaction_remove(struct ghvm_transaction *t, uint32_t label, struct ghvm_error *err);

/* A change has two messages, and one that comes two more if they do not fit into one. */
#define GHVM_TRANSACTION_MESSAGES_MAX (4 * GHVM_TRANSACTION_CHANGES_MAX)

/**
 * ghvm_transaction_messages() - which messages a commit sends to RM, in order
 *
 * Besides them it asks for the guest's state, before and while it waits for the guest. How
 * many MEM_APPEND there are is known once memory is pinned; until then it is a range.
 *
 * Return: how many of @ret were written; 0 once its guest has ended.
 */
size_t ghvm_transaction_messages(const struct ghvm_transaction *t,
				 struct ghvm_plan_message ret[GHVM_TRANSACTION_MESSAGES_MAX]);

/* What commit() would do, as JSON; malloc'ed NUL-terminated text, or NULL. */
char *ghvm_transaction_to_json(const struct ghvm_transaction *t);

/**
 * ghvm_transaction_commit() - do it, all or nothing
 * @ms: how long the guest may take to give removed regions up
 *
 * Pins, guards and shares what is added; recalls what is removed, waits until the guest has
 * released it and takes it back; tells the guest of what was added.
 *
 * Return: 0; -ETIMEDOUT the guest keeps a region; -E2BIG, -ENOSPC over the host's budget;
 * RM's refusals as ghvm_rm_call(). After a failure everything is as before it; what could not
 * be undone stays guarded, is said in @err, and teardown() gives it back.
 */
int ghvm_transaction_commit(struct ghvm_transaction *t, unsigned int ms, struct ghvm_error *err);

/* Ends it; without a commit() nothing has happened. Accepts NULL. */
void ghvm_transaction_free(struct ghvm_transaction *t);
void ghvm_transaction_freep(struct ghvm_transaction **t);

/**
 * struct ghvm_machine_region - for people
 * @accepted: the guest has said that it mapped it, or it was there at its start
 * @added: by a transaction
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
