/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of transaction objects, for transaction*.c only. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"
#include "daemon/manager/bus/peer.h"

enum transaction_state { OPEN, COMMITTING, COMMITTED, ROLLED_BACK, FAILED };

/**
 * struct transaction - a transaction object
 * @vm: borrowed; outlives the transaction
 * @sender: bus name of the client that began it, owned; @uid: its user
 * @claim: on the quota of that user, while the transaction is open
 * @expired: it was rolled back because its time was up
 * @expires: CLOCK_REALTIME in microseconds
 * @link: to @sender, until the transaction has ended
 */
struct transaction {
	struct transactions *all;
	struct transaction *next;
	uint32_t id;
	struct vm *vm;
	char *sender;
	uid_t uid;
	struct quota_claim claim;
	enum transaction_state state;
	bool expired;
	uint64_t expires;
	struct loop_watch timer;
	struct peer_link link;
};

/**
 * struct transactions - all transactions, oldest first
 * @last_id: random at first, so that paths from an earlier manager are not reused
 */
struct transactions {
	struct bus *bus;
	struct transaction *first;
	uint32_t last_id;
};

extern const sd_bus_vtable transaction_vtable[];
/* Send PropertiesChanged. */
int transaction_tell(sd_bus *conn, const char *path);

void transaction_set_state(struct transaction *t, enum transaction_state state);
void transaction_roll_back(struct transaction *t);

/* Read the option "timeout", at most @max. */
int transaction_read_ms(sd_bus_message *m, const char *key, unsigned int max, unsigned int *ret,
			sd_bus_error *error);
