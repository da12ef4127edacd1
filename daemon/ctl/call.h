/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Method calls that do not hang: each has a limit, and says after a second what it waits for.
 */
#pragma once

#include "libghvm/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#define CALL_LIMIT_S 10	   /* for an answer that takes no work */
#define CALL_CONSENT_S 180 /* where polkit may ask somebody for a password */

/**
 * struct call - what is called; all borrowed
 * @service: bus name; @path: of the object
 * @waits_for: "the manager to answer"
 * @limit_s: 0: CALL_LIMIT_S
 * @consent: polkit may ask for a password, so there is to be somebody who asks
 * @no_start: do not have the service started for it
 */
struct call {
	const char *service;
	const char *path;
	const char *interface;
	const char *member;
	const char *waits_for;
	unsigned int limit_s;
	bool consent;
	bool no_start;
};

/**
 * call_method() - call it and wait for the answer
 * @ret: the answer, to be unreferenced; may be NULL
 * @e: what the other side says if it refuses, to be freed by the caller
 * @types: of the arguments behind it, as in sd_bus_message_append()
 *
 * Return: 0; -ETIMEDOUT no answer within the limit, @e then says that; the errno of @e.
 */
int call_method(sd_bus *bus, const struct call *c, sd_bus_message **ret, sd_bus_error *e,
		const char *types, ...);
int call_methodv(sd_bus *bus, const struct call *c, sd_bus_message **ret, sd_bus_error *e,
		 const char *types, va_list ap);

/* The property @name of @c->interface, "v" entered: to be read by its @type. As call_method(). */
int call_get(sd_bus *bus, const struct call *c, const char *name, const char *type,
	     sd_bus_message **ret, sd_bus_error *e);
