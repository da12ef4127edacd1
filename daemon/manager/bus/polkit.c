/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A question to polkit belongs to one message. When polkit has answered, the message is put back into
 * the read queue; the method is called again and finds the answer.
 */
#include "daemon/manager/bus/polkit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/bus/peer.h"
#include "ghvm/types.h"

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_AUTHORITY POLKIT ".Authority"
#define PASSWORD_USEC (5 * 60 * UINT64_C(1000000)) /* for the user to enter a password */
#define WHY_SIZE 256
#define CANCEL_SIZE 32

enum phase {
	ASKS_BUS,
	ASKS_POLKIT,
	SAYS_YES,
	SAYS_NO,
};

/**
 * struct question - a question about the sender of a message
 * @request: the message, referenced until the method was called again
 * @link: to the sender
 * @slot: of the call to polkit, owned
 * @vm: name of the VM, a detail of the question; "": it is about none
 * @number: identifies the question when it is cancelled
 * @failure, @why: error name and reason, if SAYS_NO
 */
struct question {
	struct auth *auth;
	struct question *next;
	sd_bus_message *request;
	struct peer_link link;
	sd_bus_slot *slot;
	const char *action;
	char vm[GHVM_NAME_SIZE];
	uint64_t number;
	enum phase phase;
	uid_t uid;
	const char *failure;
	char why[WHY_SIZE];
};

/**
 * struct auth - see the header
 * @first: the newest question
 * @delivered: the question of the message being handled again; borrowed
 */
struct auth {
	sd_bus *conn;
	struct peers *peers;
	void (*kick)(void *data);
	void *data;
	struct question *first;
	struct question *delivered;
	uint64_t last_number;
	sd_bus_slot *filter;
};

static void cancel_id(const struct question *q, char ret[CANCEL_SIZE])
{
	(void)snprintf(ret, CANCEL_SIZE, "ghvm-%llu", (unsigned long long)q->number); /* fits */
}

/* Cancel the question: polkit closes its dialog, and the bus stops waiting for the reply. */
static void cancel_at_polkit(const struct question *q)
{
	char id[CANCEL_SIZE];

	cancel_id(q, id);
	/* on failure polkit's answer is ignored when it comes */
	(void)sd_bus_call_method_async(q->auth->conn, NULL, POLKIT, POLKIT_PATH, POLKIT_AUTHORITY,
				       "CancelCheckAuthorization", NULL, NULL, "s", id);
}

static void question_free(struct question *q)
{
	struct question **at = &q->auth->first;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	if (q->auth->delivered == q)
		q->auth->delivered = NULL;
	if (q->phase == ASKS_POLKIT)
		cancel_at_polkit(q);
	peer_unlink(&q->link);
	(void)sd_bus_slot_unref(q->slot);
	(void)sd_bus_message_unref(q->request);
	free(q);
}

static void settle_question(struct question *q, enum phase answer, const char *failure,
			    const char *why)
{
	q->phase = answer;
	q->failure = failure;
	(void)snprintf(q->why, sizeof(q->why), "%s", why); /* truncated if too long */
	if (sd_bus_message_rewind(q->request, true) < 0 ||
	    sd_bus_enqueue_for_read(q->auth->conn, q->request) < 0) {
		(void)sd_bus_reply_method_errorf(q->request, FAILURE_NOT_AUTHORIZED,
						 "cannot be decided"); /* the connection broke */
		question_free(q);
	}
}

static void say_no(struct question *q, const char *why)
{
	settle_question(q, SAYS_NO, FAILURE_NOT_AUTHORIZED, why);
}

/* --- polkit --- */

static const char needs_password[] =
	"authentication is required, and there is no polkit agent to ask for a password: join "
	"group "
	"gunyah, call from a session or terminal with an agent (pkttyagent), or call as root";
static const char refuses[] = "polkit refused: its rules do not allow it, or the password was "
			      "wrong; members of group gunyah are allowed";

/* polkit, or the bus, has returned an error. */
static void settle_unasked(struct question *q, const sd_bus_error *e)
{
	char why[WHY_SIZE];

	(void)snprintf(why, sizeof(why), "polkit failed: %s", /* a long text is cut */
		       e->message ? e->message : e->name);
	say_no(q, why);
}

/* (bba{ss}): is authorized, is a challenge, details */
static int on_polkit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct question *q = userdata;
	struct auth *a = q->auth;
	int yes = 0, challenge = 0;

	if (sd_bus_message_is_method_error(m, NULL))
		settle_unasked(q, sd_bus_message_get_error(m));
	else if (sd_bus_message_enter_container(m, 'r', "bba{ss}") < 0 ||
		 sd_bus_message_read(m, "bb", &yes, &challenge) < 0)
		say_no(q, "malformed reply from polkit");
	else if (yes)
		settle_question(q, SAYS_YES, NULL, "");
	else
		say_no(q, challenge ? needs_password : refuses);
	a->kick(a->data);
	return 1;
}

/* a{ss} */
static int append_details(sd_bus_message *m, const struct question *q)
{
	return *q->vm ? sd_bus_message_append(m, "a{ss}", 1, "name", q->vm)
		      : sd_bus_message_append(m, "a{ss}", 0);
}

static int call_polkit(struct question *q)
{
	uint32_t flags = sd_bus_message_get_allow_interactive_authorization(q->request) > 0;
	sd_bus_message *m = NULL;
	char id[CANCEL_SIZE];
	int r;

	cancel_id(q, id);
	r = sd_bus_message_new_method_call(q->auth->conn, &m, POLKIT, POLKIT_PATH, POLKIT_AUTHORITY,
					   "CheckAuthorization");
	if (r >= 0)
		r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s",
					  sd_bus_message_get_sender(q->request), q->action);
	if (r >= 0)
		r = append_details(m, q);
	if (r >= 0)
		r = sd_bus_message_append(m, "us", flags, id);
	if (r >= 0)
		r = sd_bus_call_async(q->auth->conn, &q->slot, m, on_polkit, q, PASSWORD_USEC);
	(void)sd_bus_message_unref(m);
	return r;
}

/* Cancel the question that has waited longest. */
static void make_room(struct auth *a)
{
	struct question *oldest = NULL;
	unsigned int n = 0;

	for (struct question *q = a->first; q; q = q->next) {
		if (q->phase != ASKS_POLKIT)
			continue;
		oldest = q;
		n++;
	}
	if (n < AUTH_MAX)
		return;
	cancel_at_polkit(oldest);
	oldest->slot = sd_bus_slot_unref(oldest->slot);
	settle_question(oldest, SAYS_NO, FAILURE_QUOTA,
			"too many calls are waiting for polkit: try again");
}

static unsigned int asked_of(const struct auth *a, uid_t uid)
{
	unsigned int n = 0;

	for (const struct question *q = a->first; q; q = q->next)
		n += q->phase == ASKS_POLKIT && q->uid == uid;
	return n;
}

static void ask_polkit(struct question *q)
{
	static const char too_many[] = "too many calls of this user are waiting for polkit "
				       "already: answer its password prompts, or wait";

	if (asked_of(q->auth, q->uid) >= AUTH_PER_UID) {
		settle_question(q, SAYS_NO, FAILURE_QUOTA, too_many);
		return;
	}
	make_room(q->auth);
	q->number = ++q->auth->last_number;
	if (peer_watch(&q->link) < 0 || call_polkit(q) < 0)
		say_no(q, "cannot call polkit");
	else
		q->phase = ASKS_POLKIT;
}

/* --- questions --- */

static void on_uid(void *data, uid_t uid)
{
	struct question *q = data;

	q->uid = uid;
	if (peer_trusted(uid))
		settle_question(q, SAYS_YES, NULL, "");
	else
		ask_polkit(q);
}

static void on_gone(void *data)
{
	question_free(data);
}

static struct question *find_question(struct auth *a, sd_bus_message *m)
{
	struct question *q = a->first;

	while (q && q->request != m)
		q = q->next;
	return q;
}

static int new_question(struct auth *a, sd_bus_message *m, const char *action, const char *vm,
			struct question **ret)
{
	struct question *q = calloc(1, sizeof(*q));
	uid_t uid = 0;
	int r;

	if (!q)
		return -ENOMEM;
	q->auth = a;
	q->action = action;
	(void)snprintf(q->vm, sizeof(q->vm), "%s", vm); /* valid: fits */
	q->link = (struct peer_link){ .data = q, .on_uid = on_uid, .on_gone = on_gone };
	r = peers_link(a->peers, m, &q->link, &uid);
	if (r < 0) {
		free(q);
		return r;
	}
	q->request = sd_bus_message_ref(m);
	q->next = a->first;
	a->first = q;
	q->uid = uid;
	*ret = q;
	return r;
}

static int ask_question(struct auth *a, sd_bus_message *m, const char *action, const char *vm,
			uid_t *ret, sd_bus_error *error)
{
	struct question *q;
	int r = new_question(a, m, action, vm, &q);

	if (r == -EBADMSG)
		return sd_bus_error_set(error, FAILURE_NOT_AUTHORIZED,
					"the caller has no bus name");
	if (r <= 0)
		return r;
	if (!peer_trusted(q->uid)) {
		ask_polkit(q);
		return 0;
	}
	*ret = q->uid;
	question_free(q);
	return 1;
}

int auth_check(struct auth *a, sd_bus_message *m, const char *action, uid_t *ret,
	       sd_bus_error *error)
{
	return auth_check_vm(a, m, action, "", ret, error);
}

int auth_check_vm(struct auth *a, sd_bus_message *m, const char *action, const char *vm, uid_t *ret,
		  sd_bus_error *error)
{
	struct question *q = find_question(a, m);
	bool yes;

	if (!q)
		return ask_question(a, m, action, vm, ret, error);
	if (q->phase != SAYS_YES && q->phase != SAYS_NO)
		return 0;
	yes = q->phase == SAYS_YES && !strcmp(q->action, action);
	*ret = q->uid;
	if (!yes)
		(void)sd_bus_error_setf(error, q->failure ? q->failure : FAILURE_NOT_AUTHORIZED,
					"%s is not authorized: %s", action,
					*q->why ? q->why
						: "authorization was requested for another action");
	question_free(q);
	return yes ? 1 : -EACCES;
}

/*
 * Called before any message is handled. If a message was put back and its method did not read the answer,
 * because the object is gone or the method refused earlier, the question is dropped.
 */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct auth *a = userdata;

	if (a->delivered)
		question_free(a->delivered);
	a->delivered = find_question(a, m);
	return 0;
}

int auth_new(sd_bus *conn, struct peers *peers, void (*kick)(void *data), void *data,
	     struct auth **ret)
{
	struct auth *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	*a = (struct auth){ .conn = conn, .peers = peers, .kick = kick, .data = data };
	r = sd_bus_add_filter(conn, &a->filter, on_message, a);
	if (r < 0)
		free(a);
	else
		*ret = a;
	return r;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	while (a->first)
		question_free(a->first);
	(void)sd_bus_slot_unref(a->filter);
	free(a);
}
