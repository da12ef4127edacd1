/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of the bus by their unique names: the user of each, and when it leaves.
 *
 * The bus never reuses a unique name, so its uid is queried once. A peer is known while it has links.
 * Thread: main.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <systemd/sd-bus.h>

struct peer;
struct peers;

/**
 * struct peer_link - link of an object to a peer; embedded; zero: no link
 * @on_uid: called once, if peers_link() returned 0
 * @on_gone: called when the peer has left the bus; the link has ended before
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
 * peers_link() - link @l to the sender of @m
 * @ret: set if 1 is returned
 * Return: 1; 0: on_uid() or on_gone() is called later; -EBADMSG: no sender; -ENOMEM.
 */
int peers_link(struct peers *p, sd_bus_message *m, struct peer_link *l, uid_t *ret);
/* End the link without calling on_gone(). Does nothing without a link. */
void peer_unlink(struct peer_link *l);

/* Make on_gone() come as soon as the peer leaves. It needs a match rule of the bus, so for few peers. */
int peer_watch(struct peer_link *l);

/* Root, and the user of the manager. */
bool peer_trusted(uid_t uid);
