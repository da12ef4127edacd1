/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internals of transactions, for transaction.c and transaction-commit.c only.
 */
#pragma once

#include "libghvm/machine/internal.h"
#include "ghvm/transaction.h"

/**
 * struct ghvm_transaction_change - an added or removed region
 * @removes: the region is removed; @add then describes it, without a memfd
 * @add: its memfd is owned, -1 once the machine has it
 * @told: the guest may have been notified that it is shared, or recalled
 */
struct ghvm_transaction_change {
	bool removes;
	struct ghvm_transaction_add add;
	bool told;
};

/**
 * struct ghvm_transaction - a list of changes; Thread: that of the machine's operations
 * @m: borrowed; NULL: the run is over, and nothing is reserved any more
 * @decided: an adopter completes the commit instead of undoing it
 */
struct ghvm_transaction {
	struct ghvm_machine *m;
	struct ghvm_transaction_change changes[GHVM_TRANSACTION_CHANGES_MAX];
	size_t n;
	bool decided;
};

/* True if the VM has been started and is not known to have ended. */
bool ghvm_transaction_runs(struct ghvm_machine *m);
