/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager/bus/peer.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DBUS "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"

/**
 * struct peer - a client
 * @known: @uid is known
 * @gone: the client has left the bus; freed with its last link
 * @query, @match: owned
 * @busy: callbacks of its links are running, so it must not be freed
 */
struct peer {
	struct peers *all;
	struct peer *next;
	char *name;
	uid_t uid;
	bool known;
	bool gone;
	bool busy;
	struct peer_link *first;
	sd_bus_slot *query;
	sd_bus_slot *match;
};

struct peers {
	sd_bus *conn;
	void (*kick)(void *data);
	void *data;
	struct peer *first;
};

bool peer_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static void free_if_unused(struct peer *p)
{
	struct peer **at = &p->all->first;

	if (p->first || p->busy)
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	(void)sd_bus_slot_unref(p->query);
	(void)sd_bus_slot_unref(p->match);
	free(p->name);
	free(p);
}

static void unlink_one(struct peer_link *l)
{
	struct peer_link **at = &l->peer->first;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->peer = NULL;
}

void peer_unlink(struct peer_link *l)
{
	struct peer *p = l->peer;

	if (!p)
		return;
	unlink_one(l);
	free_if_unused(p);
}

/* Each callback may unlink itself and others. */
static void tell_gone(struct peer *p)
{
	struct peer_link *l;

	p->gone = true;
	p->busy = true;
	while ((l = p->first)) {
		unlink_one(l);
		l->on_gone(l->data);
	}
	p->busy = false;
	p->all->kick(p->all->data);
	free_if_unused(p);
}

static struct peer_link *who_waits(const struct peer *p)
{
	struct peer_link *l = p->first;

	while (l && !l->waits)
		l = l->next;
	return l;
}

static void tell_uid(struct peer *p)
{
	struct peer_link *l;

	p->busy = true;
	while ((l = who_waits(p))) {
		l->waits = false;
		l->on_uid(l->data, p->uid);
	}
	p->busy = false;
	p->all->kick(p->all->data);
	free_if_unused(p);
}

static int on_uid(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct peer *p = userdata;
	uint32_t uid;

	if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &uid) < 0) {
		tell_gone(p);
		return 1;
	}
	p->uid = uid;
	p->known = true;
	tell_uid(p);
	return 1;
}

/* Query the uid; replaces a pending query. */
static int query(struct peer *p)
{
	p->query = sd_bus_slot_unref(p->query);
	return sd_bus_call_method_async(p->all->conn, &p->query, DBUS, DBUS_PATH, DBUS,
					"GetConnectionUnixUser", on_uid, p, "s", p->name);
}

/* NameOwnerChanged(s name, s old, s new) */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name, *before, *now;

	if (sd_bus_message_read(m, "sss", &name, &before, &now) >= 0 && !*now)
		tell_gone(userdata);
	return 0;
}

/* An error is ignored: without the match the leave is noticed later. sd-bus would close the connection. */
static int on_matched(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return 1;
}

int peer_watch(struct peer_link *l)
{
	struct peer *p = l->peer;
	char match[256];
	int r;

	if (p->match)
		return 0;
	if ((size_t)snprintf(match, sizeof(match),
			     "type='signal',sender='" DBUS "',path='" DBUS_PATH "',interface='" DBUS
			     "',member='NameOwnerChanged',arg0='%s'",
			     p->name) >= sizeof(match))
		return -E2BIG;
	r = sd_bus_add_match_async(p->all->conn, &p->match, match, on_owner, on_matched, p);
	/* the client may have left before the match was installed: query again to notice that */
	return r < 0 ? r : query(p);
}

static int new_peer(struct peers *all, const char *name, struct peer **ret)
{
	struct peer *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->name = strdup(name);
	if (!p->name) {
		free(p);
		return -ENOMEM;
	}
	p->all = all;
	p->next = all->first;
	all->first = p;
	r = query(p);
	if (r < 0)
		free_if_unused(p);
	else
		*ret = p;
	return r < 0 ? r : 0;
}

static struct peer *find_peer(const struct peers *all, const char *name)
{
	struct peer *p = all->first;

	while (p && (p->gone || strcmp(p->name, name)))
		p = p->next;
	return p;
}

int peers_link(struct peers *all, sd_bus_message *m, struct peer_link *l, uid_t *ret)
{
	const char *name = sd_bus_message_get_sender(m);
	struct peer *p = name ? find_peer(all, name) : NULL;
	int r;

	if (!name)
		return -EBADMSG;
	if (!p) {
		r = new_peer(all, name, &p);
		if (r < 0)
			return r;
	}
	l->peer = p;
	l->waits = !p->known;
	l->next = p->first;
	p->first = l;
	if (p->known)
		*ret = p->uid;
	return p->known;
}

int peers_new(sd_bus *conn, void (*kick)(void *data), void *data, struct peers **ret)
{
	struct peers *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	*all = (struct peers){ .conn = conn, .kick = kick, .data = data };
	*ret = all;
	return 0;
}

void peers_free(struct peers *all)
{
	free(all);
}
