/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory regions of a VM, and the transaction that changes them at run time.
 *
 * Until the commit, a transaction only collects changes on the main thread. The commit is an operation of
 * the VM, as a start is: a stop waits for its end. Any other operation on the machine first rolls the
 * transaction back. Thread: main.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/transaction.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;

/* More regions than a machine can have. */
#define VM_REGIONS_MAX 128

enum vm_transaction_end {
	VM_TRANSACTION_COMMITTED,
	VM_TRANSACTION_FAILED,
	VM_TRANSACTION_ROLLED_BACK, /* the guest has ended, or will be stopped */
};

/**
 * struct vm_transaction_owner - the object that began the transaction
 * @on_end: called once, unless vm_transaction_rollback() or _detach() was called; @err: why it failed
 */
struct vm_transaction_owner {
	void *data;
	void (*on_end)(void *data, enum vm_transaction_end end, const struct ghvm_error *err);
};

/**
 * struct vm_transaction - embedded in struct vm
 * @changes: owned; NULL: no transaction. Used by the operation thread while @committing
 * @bytes: to be added; @untouched: those of them that were not populated at that time
 * @labels: of the regions to be added; @fds: their memory, owned
 * @ms: time limit for the guest to release the regions to be removed
 */
struct vm_transaction {
	struct ghvm_transaction *changes;
	struct vm_transaction_owner owner;
	bool committing;
	unsigned int ms;
	uint64_t bytes;
	uint64_t untouched;
	uint32_t labels[GHVM_TRANSACTION_CHANGES_MAX];
	int fds[GHVM_TRANSACTION_CHANGES_MAX];
	size_t n_labels;
};

/**
 * vm_transaction_begin() - open a transaction
 * Return: 0; -ESRCH the VM does not run; -EALREADY there is an open transaction; -EBUSY an operation
 * runs; others as ghvm_transaction_new().
 */
int vm_transaction_begin(struct vm *vm, const struct vm_transaction_owner *owner,
			 struct ghvm_error *err);
bool vm_has_transaction(const struct vm *vm);

/*
 * Add a region in the open transaction, before the commit. Return: as ghvm_transaction_add(); -ENOTUNIQ
 * the label is in use.
 */
int vm_transaction_add(struct vm *vm, const struct ghvm_transaction_add *a, struct ghvm_error *err);
int vm_transaction_remove(struct vm *vm, uint32_t label, struct ghvm_error *err);
/* Upper bound of the unpopulated bytes of a region to be added. */
uint64_t vm_transaction_untouched(const struct ghvm_transaction_add *a);
char *vm_transaction_to_json(const struct vm *vm);

/* Start the commit. Return: 0; -EBUSY an operation runs, or the runner does not reply; an error of pthread_create(). */
int vm_transaction_commit(struct vm *vm, unsigned int ms, struct ghvm_error *err);

/* Roll back, if there is a transaction. A running commit continues, without its owner. */
void vm_transaction_rollback(struct vm *vm);

/* Get the regions, sorted by address. Return: number of regions. */
size_t vm_regions(const struct vm *vm, struct ghvm_machine_region ret[VM_REGIONS_MAX]);
/* Bytes added at run time, including those of the open transaction. */
uint64_t vm_added(const struct vm *vm);
