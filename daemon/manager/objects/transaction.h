/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transaction objects. Thread: main.
 *
 * One belongs to the client that began it: it alone may use it, needs no more questions to
 * polkit, and takes it along when it leaves the bus. Those that are over can still be asked
 * how they ended, as long as their guest runs.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

struct transactions;

int transactions_new(struct bus *b, struct transactions **ret);
/* Those that are open are rolled back; one that commits goes on. Accepts NULL. */
void transactions_free(struct transactions *ts);

/* As methods: BeginTransaction(a{sv}) -> o; asks whether the sender may. */
int transaction_begin(struct transactions *ts, struct vm *vm, sd_bus_message *m,
		      sd_bus_error *error);

/* How many are open that this user began. */
unsigned int transactions_of(const struct transactions *ts, uid_t uid);

void transactions_on_vm_state(struct transactions *ts, const struct vm *vm);
