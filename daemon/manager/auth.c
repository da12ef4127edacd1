/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions about callers. Each belongs to one message; when it is answered the message is
 * put back into the read queue, so the method runs again and finds the answer.
 */
#include "daemon/manager/auth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/manager/failure.h"

#define WHY_SIZE 256

enum answer { ANSWER_NONE, ANSWER_YES, ANSWER_NO };

/**
 * struct question - one message's
 * @request: referenced until the method has run again
 * @slot: of the call in flight, owned
 * @why: if ANSWER_NO
 */
struct question {
	struct auth *auth;
	struct question *next;
	sd_bus_message *request;
	sd_bus_slot *slot;
	const char *action;
	enum answer answer;
	char why[WHY_SIZE];
};

struct auth {
	sd_bus *conn;
	void (*kick)(void *data);
	void *data;
	struct question *first;
};

static void question_free(struct question *q)
{
	struct question **at = &q->auth->first;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	(void)sd_bus_slot_unref(q->slot);
	(void)sd_bus_message_unref(q->request);
	free(q);
}

static void settle(struct question *q, bool yes, const char *why)
{
	q->answer = yes ? ANSWER_YES : ANSWER_NO;
	(void)snprintf(q->why, sizeof(q->why), "%s", why); /* a long text is cut */
	if (sd_bus_message_rewind(q->request, true) < 0 ||
	    sd_bus_enqueue_for_read(q->auth->conn, q->request) < 0) {
		(void)sd_bus_reply_method_errorf(q->request, FAILURE_NOT_AUTHORIZED,
						 "cannot be decided"); /* the connection broke */
		q->auth->kick(q->auth->data);
		question_free(q);
		return;
	}
	q->auth->kick(q->auth->data);
}

static const char needs_password[] =
	"authentication is required, and there is nobody to ask: members of group gunyah need "
	"none; "
	"others call from a session or terminal with a polkit agent (pkttyagent), or as root";
static const char polkit_refuses[] =
	"polkit refuses: its rules, or the password, do not allow it; members of group gunyah may";

/* polkit, or the bus in its place, could not even be asked: in their words. */
static void settle_unasked(struct question *q, const sd_bus_error *e)
{
	char why[WHY_SIZE];

	(void)snprintf(why, sizeof(why), "polkit cannot tell: %s", /* a long text is cut */
		       e->message ? e->message : e->name);
	settle(q, false, why);
}

/* (bba{ss}): is authorized, is a challenge, details */
static int on_polkit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct question *q = userdata;
	int yes = 0, challenge = 0;

	if (sd_bus_message_is_method_error(m, NULL))
		settle_unasked(q, sd_bus_message_get_error(m));
	else if (sd_bus_message_enter_container(m, 'r', "bba{ss}") < 0 ||
		 sd_bus_message_read(m, "bb", &yes, &challenge) < 0)
		settle(q, false, "polkit answers nonsense");
	else
		settle(q, yes, challenge ? needs_password : polkit_refuses);
	return 1;
}

static int ask_polkit(struct question *q)
{
	_Static_assert(sizeof(uint32_t) == 4, "u of D-Bus");
	uint32_t flags = sd_bus_message_get_allow_interactive_authorization(q->request) > 0;

	q->slot = sd_bus_slot_unref(q->slot);
	return sd_bus_call_method_async(
		q->auth->conn, &q->slot, "org.freedesktop.PolicyKit1",
		"/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
		"CheckAuthorization", on_polkit, q, "(sa{sv})sa{ss}us", "system-bus-name", 1,
		"name", "s", sd_bus_message_get_sender(q->request), q->action, 0, flags, "");
}

static int on_uid(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct question *q = userdata;
	uint32_t uid;

	if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &uid) < 0)
		settle(q, false, "the caller has gone");
	else if (uid == 0 || uid == geteuid())
		settle(q, true, "");
	else if (ask_polkit(q) < 0)
		settle(q, false, "polkit cannot be asked");
	else
		q->auth->kick(q->auth->data);
	return 1;
}

static int ask_uid(struct question *q)
{
	return sd_bus_call_method_async(q->auth->conn, &q->slot, "org.freedesktop.DBus",
					"/org/freedesktop/DBus", "org.freedesktop.DBus",
					"GetConnectionUnixUser", on_uid, q, "s",
					sd_bus_message_get_sender(q->request));
}

static struct question *find(struct auth *a, sd_bus_message *m)
{
	for (struct question *q = a->first; q; q = q->next)
		if (q->request == m)
			return q;
	return NULL;
}

static bool too_many(struct auth *a, const char *sender)
{
	unsigned int all = 0, theirs = 0;

	for (struct question *q = a->first; q; q = q->next) {
		all++;
		theirs += !strcmp(sd_bus_message_get_sender(q->request), sender);
	}
	return all >= AUTH_MAX || theirs >= AUTH_PER_SENDER;
}

static int ask(struct auth *a, sd_bus_message *m, const char *action, sd_bus_error *error)
{
	const char *sender = sd_bus_message_get_sender(m);
	struct question *q;
	int r;

	if (!sender)
		return sd_bus_error_set(error, FAILURE_NOT_AUTHORIZED, "the caller has no name");
	if (too_many(a, sender))
		return sd_bus_error_set(error, FAILURE_QUOTA, "too many calls wait already");
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->auth = a;
	q->action = action;
	q->request = sd_bus_message_ref(m);
	q->next = a->first;
	a->first = q;
	r = ask_uid(q);
	if (r < 0)
		question_free(q);
	return r < 0 ? r : 0;
}

int auth_check(struct auth *a, sd_bus_message *m, const char *action, sd_bus_error *error)
{
	struct question *q = find(a, m);
	bool yes;
	int r;

	if (!q)
		return ask(a, m, action, error);
	if (q->answer == ANSWER_NONE)
		return 0;
	yes = q->answer == ANSWER_YES && !strcmp(q->action, action);
	if (!yes)
		(void)sd_bus_error_setf(error, FAILURE_NOT_AUTHORIZED, "%s is not authorized: %s",
					action, *q->why ? q->why : "asked for something else");
	question_free(q);
	if (!yes)
		return -EACCES;
	r = sd_bus_message_rewind(m, true);
	return r < 0 ? r : 1;
}

int auth_new(sd_bus *conn, void (*kick)(void *data), void *data, struct auth **ret)
{
	struct auth *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->conn = conn;
	a->kick = kick;
	a->data = data;
	*ret = a;
	return 0;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	while (a->first)
		question_free(a->first);
	free(a);
}
