/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests with memory that could not be returned.
 */
#include "daemon/manager/recovery/quarantine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/core/log.h"
#include "libghvm/machine/pair.h"
#include "libghvm/rm/rpc.h"

#define PAUSE_FIRST_MS 10000U
#define DOUBLINGS 6 /* up to 640 s */

static const struct op_calls retry_op;

static void free_entry(struct quarantined *e)
{
	guest_free(e->guest);
	free(e);
}

static bool to_be_tried(const struct quarantined *e, const struct quarantine *q)
{
	return e->guest && e->attempts <= q->wave;
}

/* Retry one entry at a time: this is not urgent, and all entries use the same RM. */
static void try_next(struct quarantine *q)
{
	if (op_busy(&q->op))
		return;
	for (q->tried = q->first; q->tried; q->tried = q->tried->next)
		if (to_be_tried(q->tried, q))
			break;
	if (q->tried && op_start(&q->op, &retry_op, q) < 0)
		q->tried = NULL; /* retried by the timer */
}

unsigned int quarantine_pause_ms(const struct quarantine *q)
{
	return q->first_ms << (q->wave < DOUBLINGS ? q->wave : DOUBLINGS);
}

static bool has_guests(const struct quarantine *q)
{
	for (const struct quarantined *e = q->first; e; e = e->next)
		if (e->guest)
			return true;
	return false;
}

static void arm(struct quarantine *q)
{
	if (has_guests(q))
		(void)loop_timer_arm(&q->timer,
				     quarantine_pause_ms(q)); /* failure: on request only */
	else
		loop_timer_disarm(&q->timer);
}

static void on_timer(void *data)
{
	struct quarantine *q = data;

	if (op_busy(&q->op))
		return; /* an attempt is running; its end arms the timer */
	q->wave++;
	try_next(q);
	if (!q->tried)
		arm(q);
}

static void unlink_entry(struct quarantine *q, struct quarantined *e)
{
	struct quarantined **at = &q->first;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
}

static int run_retry(void *data, struct ghvm_error *err)
{
	struct quarantine *q = data;

	return guest_run_teardown(q->tried->guest, err);
}

static void succeed(struct quarantine *q, struct quarantined *e)
{
	struct log_about a = { .vm = e->name, .vmid = e->vmid, .id = LOG_ID_RECLAIMED };
	char name[GHVM_NAME_SIZE];

	log_info(&a, "Quarantined memory has been returned");
	memcpy(name, e->name, sizeof(name));
	unlink_entry(q, e);
	free_entry(e);
	q->calls->on_changed(q->data, name);
}

/* Update the figures of an entry. No operation may use it. */
static void update_figures(struct quarantined *e)
{
	const struct ghvm_machine *m = guest_machine(e->guest);

	e->pages = ghvm_machine_quarantined(m);
	e->may_run = ghvm_machine_may_run(m);
	e->awaits_peer = ghvm_machine_awaits_peer(m);
}

static void on_retry_done(void *data, int result, const struct ghvm_error *err)
{
	struct quarantine *q = data;
	struct quarantined *e = q->tried;

	q->tried = NULL;
	if (result == 0) {
		succeed(q, e);
	} else {
		e->attempts = q->wave + 1;
		e->why = *err;
		update_figures(e);
		q->calls->on_changed(q->data, e->name);
	}
	try_next(q);
	if (!q->tried)
		arm(q);
}

static const struct op_calls retry_op = { .run = run_retry, .on_done = on_retry_done };

int quarantine_init(struct quarantine *q, struct loop *loop, const struct quarantine_calls *calls,
		    void *data)
{
	int r;

	*q = (struct quarantine){ .calls = calls, .data = data, .first_ms = PAUSE_FIRST_MS };
	r = op_init(&q->op, loop);
	return r < 0 ? r : loop_watch_timer(loop, &q->timer, on_timer, q);
}

void quarantine_done(struct quarantine *q)
{
	struct quarantined *e;

	op_done(&q->op);
	loop_watch_done(&q->timer);
	while (q->first) {
		e = q->first;
		q->first = e->next;
		free_entry(e);
	}
}

static void tell_of(const struct quarantined *e)
{
	struct log_about a = { .vm = e->name, .vmid = e->vmid, .err = &e->why };

	a.id = LOG_ID_QUARANTINED;
	if (e->awaits_peer)
		log_info(&a, "%llu pages stay until another VM ends: %s",
			 (unsigned long long)e->pages, e->why.msg);
	else
		log_error(&a, 0, "%llu pages quarantined: %s", (unsigned long long)e->pages,
			  e->why.msg);
}

static int add_entry(struct quarantine *q, const struct quarantined *entry)
{
	struct quarantined *e = malloc(sizeof(*e));

	tell_of(entry);
	if (!e) {
		guest_free(entry->guest);
		return -ENOMEM;
	}
	*e = *entry;
	if (!has_guests(q))
		q->wave = 0; /* no attempt is pending: begin with a short pause */
	e->attempts = q->wave + 1;
	e->next = q->first;
	q->first = e;
	q->calls->on_changed(q->data, e->name);
	if (!op_busy(&q->op))
		arm(q);
	return 0;
}

int quarantine_add(struct quarantine *q, const char *name, struct guest *g,
		   const struct ghvm_error *why)
{
	struct quarantined e = { .guest = g, .vmid = guest_vmid(g).id, .why = *why };

	(void)snprintf(e.name, sizeof(e.name), "%s", name); /* checked, or "" */
	update_figures(&e);
	return add_entry(q, &e);
}

/* The owner of the pages is unknown, so the guest may still run. */
int quarantine_count(struct quarantine *q, const char *name, struct ghvm_vmid vmid, uint64_t pages,
		     const struct ghvm_error *why)
{
	struct quarantined e = { .vmid = vmid.id, .pages = pages, .may_run = true, .why = *why };

	(void)snprintf(e.name, sizeof(e.name), "%s", name); /* checked, or "" */
	return add_entry(q, &e);
}

int quarantine_check_name(const struct quarantine *q, const char *name, struct ghvm_error *err)
{
	for (const struct quarantined *e = q->first; e; e = e->next)
		if (e->may_run && !strcmp(e->name, name))
			return ghvm_error_set(err, -EBUSY,
					      "an earlier guest %s, VM %u, may still run, and its "
					      "memory is in quarantine: %s",
					      name, e->vmid, e->why.msg);
	return 0;
}

void quarantine_retry(struct quarantine *q)
{
	q->wave = 0;
	for (struct quarantined *e = q->first; e; e = e->next)
		e->attempts = 0;
	try_next(q);
}

void quarantine_retry_peers(struct quarantine *q)
{
	for (struct quarantined *e = q->first; e; e = e->next)
		if (e->awaits_peer)
			e->attempts = 0;
	try_next(q);
}

bool quarantine_on_notify(struct quarantine *q, const struct ghvm_rm_notification *n)
{
	for (struct quarantined *e = q->first; e; e = e->next)
		if (e->guest && ghvm_machine_on_notify(guest_machine(e->guest), n))
			return true;
	return false;
}

uint64_t quarantine_pages(const struct quarantine *q, const char *name, const char **ret_why)
{
	uint64_t pages = 0;

	*ret_why = "";
	for (const struct quarantined *e = q->first; e; e = e->next) {
		if (name && (e->awaits_peer || strcmp(e->name, name)))
			continue;
		pages += e->pages;
		*ret_why = e->why.msg;
	}
	return pages;
}
