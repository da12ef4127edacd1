/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager/bus/lane.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/bus/peer.h"

/* With more unsent replies, calls wait: further replies would only use memory. */
#define REPLIES_MAX 64
#define AGAIN_MS 20

/**
 * struct waiting - a waiting call; @known: @uid is known
 */
struct waiting {
	struct lane *lane;
	struct waiting *next;
	sd_bus_message *request;
	struct peer_link link;
	bool known;
	uid_t uid;
};

/**
 * struct lane - see the header
 * @first: waiting calls, oldest first
 * @now: call that was put back into the read queue, still in the list
 * @delivered: the message of @now while it is being handled
 * @last: user of the previous turn
 */
struct lane {
	struct bus *bus;
	struct waiting *first;
	struct waiting *now;
	bool delivered;
	uid_t last;
	struct loop_watch serve;
	struct loop_watch again;
	sd_bus_slot *filter;
	sd_bus_slot *objects;
};

static void waiting_free(struct waiting *w)
{
	struct lane *l = w->lane;
	struct waiting **at = &l->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (l->now == w)
		l->now = NULL;
	peer_unlink(&w->link);
	(void)sd_bus_message_unref(w->request);
	free(w);
	if (l->first)
		loop_defer(&l->serve);
}

/* Users take turns in the order of their uids; the oldest call of each user is first. */
static struct waiting *next_of(const struct lane *l)
{
	struct waiting *after = NULL, *lowest = NULL;

	for (struct waiting *w = l->first; w; w = w->next) {
		if (!w->known)
			continue;
		if (peer_trusted(w->uid))
			return w;
		if (w->uid > l->last && (!after || w->uid < after->uid))
			after = w;
		if (!lowest || w->uid < lowest->uid)
			lowest = w;
	}
	return after ? after : lowest;
}

static void on_serve(void *data)
{
	struct lane *l = data;
	struct waiting *w = l->now ? NULL : next_of(l);
	uint64_t replies = 0;

	if (!w)
		return;
	if (sd_bus_get_n_queued_write(l->bus->conn, &replies) >= 0 && replies > REPLIES_MAX) {
		(void)loop_timer_arm(&l->again, AGAIN_MS); /* on failure the next call does it */
		return;
	}
	l->last = w->uid;
	l->now = w;
	l->delivered = false;
	if (sd_bus_message_rewind(w->request, true) < 0 ||
	    sd_bus_enqueue_for_read(l->bus->conn, w->request) < 0)
		waiting_free(w); /* the connection broke */
	bus_kick(l->bus);
}

static void on_uid(void *data, uid_t uid)
{
	struct waiting *w = data;

	w->uid = uid;
	w->known = true;
	loop_defer(&w->lane->serve);
}

static void on_gone(void *data)
{
	waiting_free(data);
}

static unsigned int of_peer(const struct lane *l, const struct peer *p)
{
	unsigned int n = 0;

	for (const struct waiting *w = l->first; w; w = w->next)
		n += w->link.peer == p;
	return n;
}

static int queue_call(struct lane *l, sd_bus_message *m, sd_bus_error *error)
{
	struct waiting *w = calloc(1, sizeof(*w)), **end = &l->first;
	int r;

	if (!w)
		return -ENOMEM;
	w->lane = l;
	w->link = (struct peer_link){ .data = w, .on_uid = on_uid, .on_gone = on_gone };
	r = peers_link(l->bus->peers, m, &w->link, &w->uid);
	if (r < 0) {
		free(w);
		return r;
	}
	w->known = r;
	while (*end)
		end = &(*end)->next;
	*end = w;
	w->request = sd_bus_message_ref(m);
	if (of_peer(l, w->link.peer) > LANE_PER_SENDER) {
		waiting_free(w);
		return sd_bus_error_setf(
			error, FAILURE_QUOTA,
			"%d calls of this client are waiting already: wait for their replies",
			LANE_PER_SENDER);
	}
	loop_defer(&l->serve);
	return 0;
}

int lane_turn(struct lane *l, sd_bus_message *m, sd_bus_error *error)
{
	if (!l->now || l->now->request != m)
		return queue_call(l, m, error);
	waiting_free(l->now);
	return 1;
}

/*
 * Called before any message is handled: a call that was put back and is no longer @now was refused before
 * its method was called.
 */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct lane *l = userdata;

	if (l->now && l->delivered)
		waiting_free(l->now);
	if (l->now)
		l->delivered = l->now->request == m;
	return 0;
}

/* Called for messages to the root object, before sd-bus handles them. */
static int on_root(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	int r;

	if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.ObjectManager",
					   "GetManagedObjects"))
		return 0;
	r = lane_turn(userdata, m, error);
	return r == 1 ? 0 : r < 0 ? r : 1; /* 0: sd-bus replies */
}

int lane_new(struct bus *b, struct lane **ret)
{
	struct lane *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->bus = b;
	*ret = l;
	loop_watch_deferred(b->loop, &l->serve, on_serve, l);
	r = loop_watch_timer(b->loop, &l->again, on_serve, l);
	if (r >= 0)
		r = sd_bus_add_filter(b->conn, &l->filter, on_message, l);
	return r < 0 ? r : sd_bus_add_object(b->conn, &l->objects, BUS_PATH, on_root, l);
}

void lane_free(struct lane *l)
{
	if (!l)
		return;
	while (l->first)
		waiting_free(l->first);
	loop_watch_done(&l->serve);
	loop_watch_done(&l->again);
	(void)sd_bus_slot_unref(l->filter);
	(void)sd_bus_slot_unref(l->objects);
	free(l);
}
