/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM's run-time memory: its regions, and the one transaction that may change them.
 *
 * Until it is committed a transaction is the main thread's, and only changes what is asked
 * for. A commit is an operation of the VM like a start: who wants to stop the VM meanwhile
 * waits until it has ended. What would touch the machine otherwise rolls back first.
 * Thread: main.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/transaction.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;

/* More than a machine can have. */
#define VM_REGIONS_MAX 128

enum vm_transaction_end {
	VM_TRANSACTION_COMMITTED,
	VM_TRANSACTION_FAILED,
	VM_TRANSACTION_ROLLED_BACK, /* the guest is over, or about to be */
};

/**
 * struct vm_transaction_owner - who began it
 * @on_end: once, unless vm_transaction_rollback() or _detach() was called; @err: why, if it
 *     failed
 */
struct vm_transaction_owner {
	void *data;
	void (*on_end)(void *data, enum vm_transaction_end end, const struct ghvm_error *err);
};

/**
 * struct vm_transaction - embedded in struct vm
 * @changes: owned; NULL: there is none. The operation's while @committing
 * @bytes: that are to be added; @untouched: of them, those that had no page when they were
 * @labels: of what is to be added
 * @ms: that the guest may take to give up what is removed
 */
struct vm_transaction {
	struct ghvm_transaction *changes;
	struct vm_transaction_owner owner;
	bool committing;
	unsigned int ms;
	uint64_t bytes;
	uint64_t untouched;
	uint32_t labels[GHVM_TRANSACTION_CHANGES_MAX];
	size_t n_labels;
};

/**
 * vm_transaction_begin() - open it
 * Return: 0; -ESRCH the VM does not run; -EALREADY it has one; -EBUSY an operation runs;
 * others as ghvm_transaction_new().
 */
int vm_transaction_begin(struct vm *vm, const struct vm_transaction_owner *owner,
			 struct ghvm_error *err);
bool vm_has_transaction(const struct vm *vm);

/*
 * The VM has an open one, which does not commit yet. As ghvm_transaction_add(), but for
 * -ENOTUNIQ: the label is in use.
 */
int vm_transaction_add(struct vm *vm, const struct ghvm_transaction_add *a, struct ghvm_error *err);
int vm_transaction_remove(struct vm *vm, uint32_t label, struct ghvm_error *err);
/* At most so many bytes of its memory nobody has touched so far. */
uint64_t vm_transaction_untouched(const struct ghvm_transaction_add *a);
char *vm_transaction_to_json(const struct vm *vm);

/* From here on it ends by itself. Return: 0; -EBUSY an operation runs; pthread_create()'s. */
int vm_transaction_commit(struct vm *vm, unsigned int ms, struct ghvm_error *err);

/* Right if there is none; one that commits is not stopped any more, but for its owner it is over. */
void vm_transaction_rollback(struct vm *vm);
/* The owner is gone; what it began ends as it would have. */
void vm_transaction_detach(struct vm *vm);

/* By rising address. Return: how many. */
size_t vm_regions(const struct vm *vm, struct ghvm_machine_region ret[VM_REGIONS_MAX]);
/* Bytes that were added at run time, and that are about to be. */
uint64_t vm_added(const struct vm *vm);
