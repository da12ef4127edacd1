/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stop: ask the manager to stop a VM, and wait until all its memory has been returned. Stopping a VM
 * that does not run succeeds.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/client/job.h"
#include "daemon/ctl/client/unit.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_MS 10000 /* for the unit to notice that its process has exited */

/**
 * struct stop - state of the verb
 * @vm: object path of the VM, owned
 * @quarantined: pages of the VM in quarantine before this stop
 */
struct stop {
	const char *name;
	bool force;
	char *vm;
	uint64_t quarantined;
};

static void stop_done(struct stop *s)
{
	free(s->vm);
}

static void show_step(void *data, sd_bus *bus, struct wait *w)
{
	const struct stop *s = data;
	char state[CLIENT_TEXT];

	client_vm_text(bus, s->vm, CLIENT_VM_state, state);
	if (!strcmp(state, "stopping"))
		wait_for(w, "the memory of %s to be returned", s->name);
	else if (s->force)
		wait_for(w, "%s to end", s->name);
	else
		wait_for(w, "%s to power off; it is killed after its lifecycle.stop-timeout",
			 s->name);
}

/* Wait for the end of the unit, so that a start can follow immediately. */
static void wait_for_unit(const struct stop *s, sd_bus *bus)
{
	struct unit_state u;
	struct wait w = {};
	int r = 0;

	wait_for(&w, "the unit of %s to end", s->name);
	for (;;) {
		unit_look(bus, s->name, &u);
		if (r < 0 || !unit_is_busy(&u) || wait_ms(&w) > UNIT_MS)
			break;
		do
			r = wait_on(&w, bus);
		while (r > 0);
	}
	wait_clear(&w);
}

/* Report a forced end and memory in quarantine. */
static int report_result(const struct stop *s, sd_bus *bus)
{
	const uint64_t pages = client_vm_number(bus, s->vm, CLIENT_VM_quarantined);
	char reason[CLIENT_TEXT];

	client_vm_text(bus, s->vm, CLIENT_VM_exit_reason, reason);
	if (!s->force && !strcmp(reason, "forced"))
		(void)ctl_fail(0, "%s did not power off in time and was killed", s->name);
	if (pages <= s->quarantined)
		return CTL_OK;
	return ctl_fail(CTL_FAILED,
			"%s: %" PRIu64 " pages of its memory could not be returned and stay in "
			"quarantine; see ghvmctl quarantine",
			s->name, pages);
}

/* Ask systemd to stop the unit. The memory is returned when a manager runs again. */
static int stop_without_manager(const struct stop *s, sd_bus *bus, const struct ghvm_error *why)
{
	struct ghvm_error err = {};
	struct unit_state u;

	unit_look(bus, s->name, &u);
	(void)ctl_fail(0, "%s", why->msg);
	if (!unit_is_busy(&u))
		return CTL_NO_MANAGER;
	(void)ctl_fail(0, "asking systemd to stop the unit of %s instead", s->name);
	return unit_stop(bus, s->name, &err) < 0 ? ctl_fail(CTL_NO_MANAGER, "%s", err.msg) : CTL_OK;
}

static int call_stop(struct stop *s, sd_bus *bus)
{
	const struct call c = client_verb(s->vm, CLIENT_MANAGER ".VM", "Stop");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct ghvm_error err = {};
	const char *job;
	int r = client_call(bus, &c, &reply, &err, s->name, "sa{sv}",
			    s->force ? "force" : "graceful", 0);

	if (r == -ESRCH)
		return CTL_OK; /* the VM does not run */
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	if (sd_bus_message_read(reply, "o", &job) < 0)
		return ctl_fail(CTL_FAILED, "malformed reply from gunyah-vmd");
	r = job_follow(bus, job, show_step, s, &err);
	wait_for_unit(s, bus);
	return r < 0 ? ctl_fail(client_status(r), "%s: %s", s->name, err.msg)
		     : report_result(s, bus);
}

int verb_stop(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(stop_done) struct stop s = { .name = args[0], .force = ctl->force };
	struct ghvm_error err = {};
	int r;

	r = ghvm_name_valid(s.name) ? client_open(&bus, &err)
				    : ghvm_spec_absent(s.name, ctl->dirs, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	r = client_path(bus, s.name, &s.vm, &err);
	if (r == -EHOSTDOWN && !s.force)
		return stop_without_manager(&s, bus, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	s.quarantined = client_vm_number(bus, s.vm, CLIENT_VM_quarantined);
	return call_stop(&s, bus);
}
