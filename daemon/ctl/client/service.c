/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/service.h"

#include "daemon/ctl/client/call.h"
#include "daemon/ctl/client/unit.h"
#include "daemon/ctl/client/wait.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DBUS "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"
#define LIMIT_S 120	 /* TimeoutStartSec= of the unit */
#define PATIENCE_MS 8000 /* give up on a failing manager after this time, or after RESTARTS */
#define LOOK_MS 500
#define AGAIN_MS 3000 /* more than RestartSec= and a start that fails */
#define RESTARTS 3

/**
 * struct start - a start of the manager by the bus
 * @answer: reply of the bus, owned; NULL: not yet
 * @looked: when the unit was checked last, in milliseconds of @wait
 * @restarts: restarts of the unit before this start
 */
struct start {
	sd_bus_message *answer;
	struct wait wait;
	uint64_t looked;
	uint32_t restarts;
	struct unit_state unit;
};

static bool has_owner(sd_bus *bus)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int yes = 0;

	/* on failure assume yes: the following call to the manager then reports an error */
	return sd_bus_call_method(bus, DBUS, DBUS_PATH, DBUS, "NameHasOwner", NULL, &reply, "s",
				  CLIENT_MANAGER) < 0 ||
	       sd_bus_message_read(reply, "b", &yes) < 0 || yes;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct start *s = userdata;

	s->answer = sd_bus_message_ref(m);
	return 0;
}

static bool has_failed(const struct unit_state *u)
{
	return !strcmp(u->active, "failed") || !strcmp(u->sub, "auto-restart") ||
	       (*u->result && strcmp(u->result, "success") != 0);
}

static int cannot_start(const struct unit_state *u, struct ghvm_error *err)
{
	return ghvm_error_set(err, -EHOSTDOWN,
			      "the manager cannot start: %s: %s, status %d%s%s; see journalctl -u "
			      "gunyah-vmd",
			      UNIT_MANAGER, u->result, u->status, *u->text ? ": " : "", u->text);
}

/* Return: 0 continue to wait; negative errno: the manager cannot start. */
static int check_unit(struct start *s, sd_bus *bus, struct ghvm_error *err)
{
	const uint64_t ms = wait_ms(&s->wait);
	struct unit_state *u = &s->unit;

	if (ms - s->looked < LOOK_MS)
		return 0;
	s->looked = ms;
	unit_look_at(bus, UNIT_MANAGER, u);
	if (*u->active)
		wait_for(&s->wait, "the manager to start: " UNIT_MANAGER " is %s (%s)", u->active,
			 u->sub);
	if (has_failed(u) && (ms >= PATIENCE_MS || u->restarts >= s->restarts + RESTARTS))
		return cannot_start(u, err);
	return 0;
}

/* A unit that restarts has lost the result of its last run: wait until it fails again. */
static bool find_failed(struct start *s, sd_bus *bus)
{
	const uint64_t until = wait_ms(&s->wait) + AGAIN_MS;

	for (;;) {
		unit_look_at(bus, UNIT_MANAGER, &s->unit);
		if (has_failed(&s->unit) || !*s->unit.active || wait_ms(&s->wait) >= until)
			return *s->unit.active && has_failed(&s->unit);
		if (wait_on(&s->wait, bus) < 0)
			return false;
	}
}

/* Convert the reply of the bus; if the unit has failed, its result is the better message. */
static int check_answer(struct start *s, sd_bus *bus, struct ghvm_error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r;

	if (!sd_bus_message_is_method_error(s->answer, NULL))
		return 0;
	if (find_failed(s, bus))
		return cannot_start(&s->unit, err);
	(void)sd_bus_error_copy(&e, sd_bus_message_get_error(s->answer));
	r = call_error(err, &e, -sd_bus_message_get_errno(s->answer),
		       "the manager cannot be started");
	err->code = r == -ENOENT ? r : -EHOSTDOWN;
	return -EHOSTDOWN;
}

static int wait_for_answer(struct start *s, sd_bus *bus, struct ghvm_error *err)
{
	int r = 0;

	while (r >= 0 && !s->answer) {
		r = check_unit(s, bus, err);
		if (r < 0)
			return r;
		r = wait_on(&s->wait, bus);
	}
	if (r < 0)
		return ghvm_error_set(err, r, "lost the connection to the bus: %s", strerror(-r));
	return check_answer(s, bus, err);
}

int service_start(sd_bus *bus, struct ghvm_error *err)
{
	struct start s = {};
	sd_bus_message *m = NULL;
	sd_bus_slot *slot = NULL;
	int r;

	if (has_owner(bus))
		return 0;
	unit_look_at(bus, UNIT_MANAGER, &s.unit);
	s.restarts = s.unit.restarts;
	wait_for(&s.wait, "the manager to start");
	r = sd_bus_message_new_method_call(bus, &m, DBUS, DBUS_PATH, DBUS, "StartServiceByName");
	if (r >= 0)
		r = sd_bus_message_append(m, "su", CLIENT_MANAGER, 0);
	if (r >= 0)
		r = sd_bus_call_async(bus, &slot, m, on_answer, &s, LIMIT_S * 1000000ULL);
	if (r < 0)
		(void)ghvm_error_set(err, r, "cannot call the bus: %s", strerror(-r));
	else
		r = wait_for_answer(&s, bus, err);
	wait_clear(&s.wait);
	(void)sd_bus_slot_unref(slot);
	(void)sd_bus_message_unref(s.answer);
	(void)sd_bus_message_unref(m);
	return r;
}
