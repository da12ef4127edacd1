/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transaction objects. Thread: main.
 *
 * A transaction belongs to the client that began it. Only this client may use it, without asking polkit
 * again. It is rolled back when the client leaves the bus. The state of an ended transaction can be read
 * as long as the guest runs.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

struct transactions;

int transactions_new(struct bus *b, struct transactions **ret);
/* Open transactions are rolled back; one that commits continues. Accepts NULL. */
void transactions_free(struct transactions *ts);

/* The method BeginTransaction(a{sv}) -> o, with authorization. Return: as sd-bus methods. */
int transaction_begin(struct transactions *ts, struct vm *vm, sd_bus_message *m,
		      sd_bus_error *error);

void transactions_on_vm_state(struct transactions *ts, const struct vm *vm);
