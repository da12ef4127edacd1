/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/unit.h"

#include "daemon/ctl/client/call.h"
#include "daemon/ctl/client/wait.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/types.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT_NAME_SIZE (GHVM_NAME_SIZE + 24)
#define LIMIT_MS 300000 /* more than twice TimeoutStopSec=, for the runner and for its release */

static void unit_name(const char *name, char ret[UNIT_NAME_SIZE])
{
	snprintf(ret, UNIT_NAME_SIZE, "gunyah-vm@%s.service", name);
}

/* A systemd job. JobRemoved may arrive before the reply that contains the path. */
struct unit_job {
	char path[128];
	char ended[128]; /* path of the last job that ended */
	char result[32];
};

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *path, *unit, *result;
	struct unit_job *job = userdata;
	uint32_t id;

	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	if (*job->path && strcmp(job->path, path))
		return 0;
	snprintf(job->ended, sizeof(job->ended), "%s", path);
	snprintf(job->result, sizeof(job->result), "%s", result);
	return 0;
}

static int wait_for_job(sd_bus *bus, const char *unit, struct unit_job *job, struct ghvm_error *err)
{
	struct wait w = {};
	int r = 0;

	wait_for(&w, "systemd to stop %s", unit);
	while (r >= 0 && strcmp(job->path, job->ended) && wait_ms(&w) < LIMIT_MS)
		r = wait_on(&w, bus);
	wait_clear(&w);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: %s", unit, strerror(-r));
	if (strcmp(job->path, job->ended))
		return ghvm_error_set(err, -ETIMEDOUT, "%s: not stopped by systemd within %u s",
				      unit, LIMIT_MS / 1000);
	if (strcmp(job->result, "done"))
		return ghvm_error_set(err, -EREMOTEIO, "%s: the stop job ended with result \"%s\"",
				      unit, job->result);
	return 0;
}

/* systemd sends JobRemoved only to clients that have subscribed. */
static int watch_jobs(sd_bus *bus, struct unit_job *job, sd_bus_slot **ret)
{
	int r = sd_bus_match_signal(bus, ret, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved",
				    on_job_removed, job);

	if (r < 0)
		return r;
	return sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", NULL,
				  NULL, "");
}

static int call_job(sd_bus *bus, const char *method, const char *unit, struct unit_job *job,
		    struct ghvm_error *err)
{
	const struct call c = {
		.service = SYSTEMD,
		.path = SYSTEMD_PATH,
		.interface = SYSTEMD_MANAGER,
		.member = method,
		.waits_for = "systemd to answer; polkit may be asking for a password",
		.limit_s = CALL_CONSENT_S,
	};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	const char *path;
	int r = call_method(bus, &c, &reply, &e, "ss", unit, "replace");

	if (r < 0)
		(void)ghvm_error_set(err, r, "%s of %s: %s", method, unit, e.message);
	sd_bus_error_free(&e);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return ghvm_error_set(err, r, "%s of %s: %s", method, unit, strerror(-r));
	snprintf(job->path, sizeof(job->path), "%s", path);
	return 0;
}

static int run_job(sd_bus *bus, const char *method, const char *unit, struct ghvm_error *err)
{
	sd_bus_slot *slot = NULL;
	struct unit_job job = {};
	int r = watch_jobs(bus, &job, &slot);

	if (r < 0)
		(void)ghvm_error_set(err, r, "cannot subscribe to systemd's jobs: %s",
				     strerror(-r));
	else
		r = call_job(bus, method, unit, &job, err);
	if (r == 0)
		r = wait_for_job(bus, unit, &job, err);
	(void)sd_bus_slot_unref(slot);
	return r;
}

int unit_stop(sd_bus *bus, const char *name, struct ghvm_error *err)
{
	char unit[UNIT_NAME_SIZE];

	unit_name(name, unit);
	return run_job(bus, "StopUnit", unit, err);
}

/* ---- state ---- */

struct property {
	const char *name;
	char type;
	size_t offset;
	size_t size;
};

#define PROPERTY(name, type, member)                                                               \
	{                                                                                          \
		name, type, offsetof(struct unit_state, member),                                   \
			sizeof(((struct unit_state *)NULL)->member)                                \
	}

static const struct property properties[] = {
	PROPERTY("ActiveState", 's', active),	 PROPERTY("SubState", 's', sub),
	PROPERTY("StartLimitBurst", 'u', burst), PROPERTY("Result", 's', result),
	PROPERTY("StatusText", 's', text),	 PROPERTY("ExecMainStatus", 'i', status),
	PROPERTY("NRestarts", 'u', restarts),	 PROPERTY("RestartUSec", 't', pause_usec),
};

static int read_value(sd_bus_message *m, const struct property *p, struct unit_state *ret)
{
	const char type[2] = { p->type, '\0' };
	char *at = (char *)ret + p->offset;
	const char *text;
	int r;

	if (p->type != 's')
		return sd_bus_message_read(m, "v", type, at);
	r = sd_bus_message_read(m, "v", "s", &text);
	if (r >= 0)
		(void)snprintf(at, p->size, "%s", text); /* truncated if too long */
	return r;
}

static int read_member(sd_bus_message *m, struct unit_state *ret)
{
	const char *key;
	int r = sd_bus_message_read(m, "s", &key);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(properties); i++)
		if (!strcmp(key, properties[i].name))
			return read_value(m, &properties[i], ret);
	return r < 0 ? r : sd_bus_message_skip(m, "v");
}

/* One GetAll of all interfaces: properties read one by one may change in between. */
void unit_look_at(sd_bus *bus, const char *unit, struct unit_state *ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_(freep) char *path = NULL;
	struct call c = {
		.service = SYSTEMD,
		.interface = "org.freedesktop.DBus.Properties",
		.member = "GetAll",
		.waits_for = "systemd to answer",
	};
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = sd_bus_path_encode(SYSTEMD_PATH "/unit", unit, &path);

	*ret = (struct unit_state){};
	c.path = path;
	if (r >= 0)
		r = call_method(bus, &c, &m, &e, "s", "");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_member(m, ret);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	sd_bus_error_free(&e);
}

void unit_look(sd_bus *bus, const char *name, struct unit_state *ret)
{
	char unit[UNIT_NAME_SIZE];

	unit_name(name, unit);
	unit_look_at(bus, unit, ret);
}

bool unit_is_busy(const struct unit_state *u)
{
	return !strcmp(u->active, "active") || !strcmp(u->active, "activating") ||
	       !strcmp(u->active, "deactivating") || !strcmp(u->active, "reloading");
}

unsigned int unit_try(const struct unit_state *u)
{
	return u->restarts + (strcmp(u->sub, "auto-restart") ? 1 : 2);
}

const char *unit_try_text(const struct unit_state *u, char buf[UNIT_TRY_SIZE])
{
	char pause[24] = "";

	if (!strcmp(u->sub, "auto-restart"))
		snprintf(pause, sizeof(pause), "in %g s ", (double)u->pause_usec / 1e6);
	snprintf(buf, UNIT_TRY_SIZE, "%s(%u of %u)", pause, unit_try(u), u->burst);
	return buf;
}
