/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start: ask the manager to start the unit, and wait until the guest runs.
 *
 * systemd may try a failed start again. Each failure is printed, and ghvmctl waits for the last try.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/output/complaints.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/client/job.h"
#include "daemon/ctl/client/unit.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/hint.h"
#include "ghvm/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 300

/**
 * struct start - state of the verb
 * @vm: object path of the VM, owned
 * @told: number of the last try that was announced; 0: none has failed
 * @told_at: LastErrorTime when that try was announced
 * @failed_at: LastErrorTime before this start
 */
struct start {
	const char *name;
	char *vm;
	unsigned int told;
	uint64_t told_at;
	uint64_t failed_at;
};

static void start_done(struct start *s)
{
	free(s->vm);
}

/* Check the descriptor first: systemd's message would be less helpful. */
static int check_exists(const struct ctl *ctl, const char *name)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};
	int r = ghvm_spec_load(name, ctl->dirs, &spec, &all, &err);

	if (r == 0 || r == -EACCES)
		return CTL_OK;
	complaints_print(&all, stderr);
	if (all.n)
		return ctl_fail(CTL_FAILED, "%s is not started: its descriptor has errors", name);
	return ctl_fail(r == -ENOENT ? CTL_NO_VM : CTL_FAILED, "%s", err.msg);
}

/* The error of this start; "": the manager knows of none. */
static void last_error(const struct start *s, sd_bus *bus, char ret[CLIENT_TEXT])
{
	*ret = '\0';
	if (client_vm_number(bus, s->vm, CLIENT_VM_last_error_time) != s->failed_at)
		client_vm_text(bus, s->vm, CLIENT_VM_last_error, ret);
}

/* ---- tries ---- */

/* Announce the next try. If systemd has not noticed the failure yet, it is announced later. */
static void announce_try(struct start *s, sd_bus *bus, struct wait *w, const struct unit_state *u)
{
	const unsigned int try = unit_try(u);
	char error[CLIENT_TEXT], which[UNIT_TRY_SIZE];

	if (try < 2 || try == s->told)
		return;
	s->told = try;
	s->told_at = client_vm_number(bus, s->vm, CLIENT_VM_last_error_time);
	wait_clear(w);
	last_error(s, bus, error);
	if (*error)
		(void)ctl_fail(0, "%s: %s", s->name, error);
	(void)ctl_fail(0, "systemd tries again to start %s %s", s->name, unit_try_text(u, which));
}

/* If there is a new failure, announce the next try. */
static void check_tries(struct start *s, sd_bus *bus, struct wait *w)
{
	const uint64_t failed_at = client_vm_number(bus, s->vm, CLIENT_VM_last_error_time);
	struct unit_state u;

	if (failed_at == s->failed_at || failed_at == s->told_at)
		return;
	unit_look(bus, s->name, &u);
	if (!strcmp(u.active, "activating"))
		announce_try(s, bus, w, &u);
}

static void show_step(void *data, sd_bus *bus, struct wait *w)
{
	struct start *s = data;
	char state[CLIENT_TEXT], step[CLIENT_TEXT];

	check_tries(s, bus, w);
	client_vm_text(bus, s->vm, CLIENT_VM_state, state);
	client_vm_text(bus, s->vm, CLIENT_VM_sub_state, step);
	if (strcmp(state, "starting") != 0)
		wait_for(w, "systemd to start the unit of %s", s->name);
	else if (!strcmp(step, "prepare"))
		wait_for(w, "%s to start: preparing memory and files", s->name);
	else
		wait_for(w, "%s to start: %s", s->name, step);
}

/*
 * Return: 0 the unit runs; -EREMOTEIO it has failed and is not tried again; -ETIMEDOUT systemd does
 * not reply.
 */
static int follow_unit(struct start *s, sd_bus *bus, struct unit_state *u)
{
	struct wait w = {};
	int r = 0;

	wait_for(&w, "the unit of %s to start", s->name);
	for (;;) {
		const uint64_t until = wait_ms(&w) + LOOK_MS;

		unit_look(bus, s->name, u);
		if (r < 0 || !unit_is_busy(u) || !strcmp(u->active, "active"))
			break;
		if (!strcmp(u->active, "activating"))
			announce_try(s, bus, &w, u);
		wait_for(&w, "the unit of %s to start: %s (%s)", s->name, u->active, u->sub);
		while (r >= 0 && wait_ms(&w) < until)
			r = wait_on(&w, bus);
	}
	wait_clear(&w);
	if (r < 0 || !*u->active)
		return -ETIMEDOUT;
	return strcmp(u->active, "active") ? -EREMOTEIO : 0;
}

/* ---- result ---- */

static int report_success(const struct start *s)
{
	if (s->told)
		(void)ctl_fail(0, "%s runs after %u tries", s->name, s->told);
	return CTL_OK;
}

static int report_failure(const struct start *s, const struct unit_state *u, const char *why)
{
	(void)ctl_fail(0, "%s: %s", s->name, why);
	if (*u->result && strcmp(u->result, "success"))
		(void)ctl_fail(0, "result of the unit: %s, status %d", u->result, u->status);
	fprintf(stderr, "see: ghvmctl why %s, journalctl -u gunyah-vm@%s\n", s->name, s->name);
	return CTL_FAILED;
}

/* @r, @err: result of the manager's job; if it failed or is unknown, the unit may continue. */
static int finish_start(struct start *s, sd_bus *bus, int r, const struct ghvm_error *err)
{
	char last[CLIENT_TEXT];
	struct unit_state u;

	if (r == 0)
		return report_success(s);
	if (r == -ECANCELED)
		return ctl_fail(CTL_FAILED, "%s: stopped before the start was complete", s->name);
	r = follow_unit(s, bus, &u);
	if (r == -ETIMEDOUT)
		return ctl_fail(CTL_FAILED, "%s", err->msg);
	if (r == 0)
		return report_success(s);
	last_error(s, bus, last);
	return report_failure(s, &u, *last ? last : err->msg);
}

/* The VM is not stopped: it may run, or another client may be starting it. */
static int handle_not_stopped(struct start *s, sd_bus *bus, const struct ghvm_error *err)
{
	char state[CLIENT_TEXT];

	client_vm_text(bus, s->vm, CLIENT_VM_state, state);
	if (!strcmp(state, "running") || !strcmp(state, "rebooting"))
		return CTL_OK;
	if (!strcmp(state, "starting"))
		return finish_start(s, bus, -EREMOTEIO, err);
	return ctl_fail(CTL_FAILED, "%s", err->msg);
}

static int report_refusal(sd_bus *bus, int r, const struct ghvm_error *err)
{
	const int host = r == -ENODEV ? client_host(bus, NULL) : 0;

	(void)ctl_fail(0, "%s", err->msg);
	if (host < 0)
		fprintf(stderr, "try: %s\n", ghvm_hint_find(host, 0, 0)->advice);
	return client_status(r);
}

static int start_vm(struct start *s, sd_bus *bus)
{
	const struct call c = client_verb(CLIENT_ROOT, CLIENT_MANAGER ".Manager", "StartVM");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct ghvm_error err = {};
	const char *job;
	int r = client_path(bus, s->name, &s->vm, &err);

	if (r == 0) {
		s->failed_at = client_vm_number(bus, s->vm, CLIENT_VM_last_error_time);
		r = client_call(bus, &c, &reply, &err, s->name, "sa{sv}", s->name, 0);
	}
	if (r == -ESRCH)
		return handle_not_stopped(s, bus, &err);
	if (r < 0)
		return report_refusal(bus, r, &err);
	if (sd_bus_message_read(reply, "o", &job) < 0)
		return ctl_fail(CTL_FAILED, "malformed reply from gunyah-vmd");
	r = job_follow(bus, job, show_step, s, &err);
	return finish_start(s, bus, r, &err);
}

int verb_start(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(start_done) struct start s = { .name = args[0] };
	struct ghvm_error err = {};
	int r = check_exists(ctl, s.name);

	if (r != CTL_OK)
		return r;
	r = client_open(&bus, &err);
	return r < 0 ? ctl_fail(client_status(r), "%s", err.msg) : start_vm(&s, bus);
}
