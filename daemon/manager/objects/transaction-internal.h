/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of transaction objects, for transaction*.c only. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"
#include "daemon/manager/bus/peer.h"

enum transaction_state { OPEN, COMMITTING, COMMITTED, ROLLED_BACK, FAILED };

/**
 * struct transaction - one
 * @vm: borrowed; outlives it
 * @sender: who began it, owned; @uid: of which user
 * @expired: that is why it was rolled back
 * @expires: real time in microseconds
 * @link: to @sender, until it is over
 */
struct transaction {
	struct transactions *all;
	struct transaction *next;
	uint32_t id;
	struct vm *vm;
	char *sender;
	uid_t uid;
	enum transaction_state state;
	bool expired;
	uint64_t expires;
	struct loop_watch timer;
	struct peer_link link;
};

/**
 * struct transactions - all, oldest first
 * @last_id: begins at random, so that a path which an earlier manager gave names nothing
 */
struct transactions {
	struct bus *bus;
	struct transaction *first;
	uint32_t last_id;
};

extern const sd_bus_vtable transaction_vtable[];
/* PropertiesChanged of what can change. */
int transaction_tell(sd_bus *conn, const char *path);

const char *transaction_state_to_string(enum transaction_state s);
void transaction_set_state(struct transaction *t, enum transaction_state state);
void transaction_roll_back(struct transaction *t);

/* The option "timeout", which may be up to @max. */
int transaction_read_ms(sd_bus_message *m, const char *key, unsigned int max, unsigned int *ret,
			sd_bus_error *error);
