/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a transaction, for transaction.c and transaction-commit.c only.
 */
#pragma once

#include "libghvm/machine/internal.h"
#include "ghvm/transaction.h"

/**
 * struct ghvm_transaction_change - one region that comes, or goes
 * @removes: it goes; then @add says what it is, without a memfd
 * @add: its memfd is owned, -1 once the machine has it
 * @told: the guest may have heard of it: that it is shared, or that it is recalled
 */
struct ghvm_transaction_change {
	bool removes;
	struct ghvm_transaction_add add;
	bool told;
};

/**
 * struct ghvm_transaction - what is to be done; Thread: that of the machine's operations
 * @m: borrowed; NULL: its run is over, and nothing is reserved any more
 * @decided: who finds it half-done shall finish it, and not undo it
 */
struct ghvm_transaction {
	struct ghvm_machine *m;
	struct ghvm_transaction_change changes[GHVM_TRANSACTION_CHANGES_MAX];
	size_t n;
	bool decided;
};

/* Its VM has been started and has not ended, as far as we heard. */
bool ghvm_transaction_runs(struct ghvm_machine *m);
