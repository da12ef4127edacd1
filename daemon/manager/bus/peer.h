/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of the bus by their unique names: of which user each is, and when one leaves.
 *
 * The bus gives a unique name once, so what it says of one stays true. A peer is known while
 * something of ours is linked to it; the bus is asked about it once. Thread: main.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <systemd/sd-bus.h>

struct peer;
struct peers;

/**
 * struct peer_link - what is of one peer; embedded, zero is "nothing"
 * @on_uid: once, if peers_link() could not tell yet
 * @on_gone: it has left the bus; the link has ended before
 */
struct peer_link {
	struct peer *peer;
	struct peer_link *next;
	bool waits;
	void *data;
	void (*on_uid)(void *data, uid_t uid);
	void (*on_gone)(void *data);
};

/**
 * peers_new() - @conn: borrowed
 * @kick: called after something was sent outside of a method
 */
int peers_new(sd_bus *conn, void (*kick)(void *data), void *data, struct peers **ret);
/* After the last link has ended. Accepts NULL. */
void peers_free(struct peers *p);

/**
 * peers_link() - of the sender of @m
 * @ret: set if 1 is returned
 * Return: 1; 0: on_uid() or on_gone() comes later; -EBADMSG: it has no sender; -ENOMEM.
 */
int peers_link(struct peers *p, sd_bus_message *m, struct peer_link *l, uid_t *ret);
/* Without on_gone(). Right for one that has ended, or never began. */
void peer_unlink(struct peer_link *l);

/* From here on on_gone() comes as soon as it leaves: a match of the bus, so for few. */
int peer_watch(struct peer_link *l);

/* Root, and the user that this manager runs as. */
bool peer_trusted(uid_t uid);
