/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Method calls with a time limit. After a second, a call prints what it waits for.
 */
#pragma once

#include "ghvm/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#define CLIENT_MANAGER "org.gunyah.vmm1"

#define CALL_LIMIT_S 10	   /* for methods that reply immediately */
#define CALL_CONSENT_S 180 /* for methods where polkit may ask for a password */

/**
 * struct call - a method to call; all borrowed
 * @service: bus name; @path: object path
 * @waits_for: completes "waiting for ...", as "the manager to answer"
 * @limit_s: time limit; 0: CALL_LIMIT_S
 * @consent: polkit may ask for a password, so run an agent (agent.h)
 * @no_start: do not start the service
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
 * call_method() - call a method and wait for the reply
 * @ret: owned reply; may be NULL
 * @e: the error, freed by the caller
 * @types: types of the arguments that follow, as in sd_bus_message_append()
 *
 * Return: 0; -ETIMEDOUT no reply within the limit; the errno of @e.
 */
int call_method(sd_bus *bus, const struct call *c, sd_bus_message **ret, sd_bus_error *e,
		const char *types, ...);
int call_methodv(sd_bus *bus, const struct call *c, sd_bus_message **ret, sd_bus_error *e,
		 const char *types, va_list ap);

/* Append the arguments of a call. Return: as sd_bus_message_append(). */
typedef int (*call_append)(sd_bus_message *m, const void *data);

/* The same for arguments of any number: @append is called with @data. */
int call_with(sd_bus *bus, const struct call *c, sd_bus_message **ret, sd_bus_error *e,
	      call_append append, const void *data);

/*
 * Read the property @name of @c->interface. In @ret the variant is entered; read the value with @type.
 * Return: as call_method().
 */
int call_get(sd_bus *bus, const struct call *c, const char *name, const char *type,
	     sd_bus_message **ret, sd_bus_error *e);

/* Convert an sd-bus error, with @what as the prefix of its message. Frees @e. Return: negative errno. */
int call_error(struct ghvm_error *err, sd_bus_error *e, int r, const char *what);
