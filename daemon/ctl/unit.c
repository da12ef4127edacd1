/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/unit.h"

#include "daemon/ctl/client.h"

#include "libghvm/cleanup.h"
#include "libghvm/types.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT_NAME_SIZE (GHVM_NAME_SIZE + 24)

static void unit_name(const char *name, char ret[UNIT_NAME_SIZE])
{
	snprintf(ret, UNIT_NAME_SIZE, "gunyah-vm@%s.service", name);
}

/* The job that is waited for; its path is known only after JobRemoved may have come. */
struct wait {
	char job[128];
	char ended[128]; /* last one that ended */
	char result[32];
};

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *path, *unit, *result;
	struct wait *w = userdata;
	uint32_t id;

	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	if (*w->job && strcmp(w->job, path))
		return 0;
	snprintf(w->ended, sizeof(w->ended), "%s", path);
	snprintf(w->result, sizeof(w->result), "%s", result);
	return 0;
}
static int wait_for_job(sd_bus *bus, struct wait *w)
{
	while (strcmp(w->job, w->ended)) {
		int r = sd_bus_process(bus, NULL);

		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Jobs' signals come to those who subscribed. */
static int watch_jobs(sd_bus *bus, struct wait *w, sd_bus_slot **ret)
{
	int r = sd_bus_match_signal(bus, ret, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved",
				    on_job_removed, w);

	if (r < 0)
		return r;
	return sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", NULL,
				  NULL, "");
}

static int call_job(sd_bus *bus, const char *method, const char *unit, struct wait *w,
		    struct ghvm_error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *path;
	char what[96];
	int r;

	snprintf(what, sizeof(what), "%s of %s", method, unit);
	r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, method, &e, &reply,
			       "ss", unit, "replace");
	if (r < 0)
		return client_error(err, &e, r, what);
	r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0)
		snprintf(w->job, sizeof(w->job), "%s", path);
	(void)sd_bus_message_unref(reply);
	return r < 0 ? ghvm_error_set(err, r, "%s: %s", what, strerror(-r)) : 0;
}

static int run_job(sd_bus *bus, const char *method, const char *unit, struct ghvm_error *err)
{
	sd_bus_slot *slot = NULL;
	struct wait w = {};
	int r = watch_jobs(bus, &w, &slot);

	if (r < 0)
		(void)ghvm_error_set(err, r, "systemd does not tell of its jobs: %s", strerror(-r));
	else
		r = call_job(bus, method, unit, &w, err);
	if (r == 0) {
		r = wait_for_job(bus, &w);
		if (r < 0)
			(void)ghvm_error_set(err, r, "%s: %s", unit, strerror(-r));
		else if (strcmp(w.result, "done"))
			r = ghvm_error_set(err, -EREMOTEIO, "%s: the job ended as \"%s\"", unit,
					   w.result);
	}
	(void)sd_bus_slot_unref(slot);
	return r;
}

int unit_run(sd_bus *bus, const char *method, const char *name, struct ghvm_error *err)
{
	char unit[UNIT_NAME_SIZE];

	unit_name(name, unit);
	return run_job(bus, method, unit, err);
}

/* ---- how it is ---- */

static void get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		     char *ret, size_t cap)
{
	_cleanup_(freep) char *text = NULL;

	if (sd_bus_get_property_string(bus, SYSTEMD, path, interface, property, NULL, &text) >= 0)
		snprintf(ret, cap, "%s", text);
}

void unit_look(sd_bus *bus, const char *name, struct unit_state *ret)
{
	_cleanup_(freep) char *path = NULL;
	char unit[UNIT_NAME_SIZE];
	int32_t status = 0;

	*ret = (struct unit_state){};
	unit_name(name, unit);
	if (sd_bus_path_encode(SYSTEMD_PATH "/unit", unit, &path) < 0)
		return;
	get_text(bus, path, SYSTEMD ".Unit", "ActiveState", ret->active, sizeof(ret->active));
	get_text(bus, path, SYSTEMD ".Service", "Result", ret->result, sizeof(ret->result));
	(void)sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service", "ExecMainStatus",
					  NULL, 'i', &status); /* 0 says nothing */
	ret->status = status;
}
