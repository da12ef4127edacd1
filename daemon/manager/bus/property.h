/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties of an object on the bus: its rows of bus-properties.h, each with a getter.
 *
 * A file that has an object writes get_ID() for each row, makes its table and vtable of the rows,
 * and a missing getter does not compile. Thread: main.
 */
#pragma once

#include "daemon/ipc/bus-properties.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#define PROPERTIES_MAX 32 /* rows of a table */

/**
 * struct property_value - what a getter gives
 * @text: of type s; borrowed from the object
 * @number: of any other type; negative ones as int64_t
 */
struct property_value {
	const char *text;
	uint64_t number;
};

/**
 * struct property - a row
 * @type: one of s b q i u t
 * @changes: PropertiesChanged is sent for it
 */
struct property {
	const char *name;
	const char *type;
	bool changes;
	struct property_value (*get)(const void *object);
};

/**
 * struct property_table - the rows of one interface
 */
struct property_table {
	const char *interface;
	const struct property *rows;
	size_t n;
};

/* --- how a file makes them of a list of bus-properties.h --- */

#define PROPERTY_CHANGES_CONST false
#define PROPERTY_CHANGES_CHANGES true
#define PROPERTY_CHANGES_SILENT false
#define PROPERTY_FLAGS_CONST SD_BUS_VTABLE_PROPERTY_CONST
#define PROPERTY_FLAGS_CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define PROPERTY_FLAGS_SILENT 0

/* A row of struct property, and none for one that has no value of this kind. */
#define PROPERTY_ROW(id, name, type, news) { name, #type, PROPERTY_CHANGES_##news, get_##id },
#define PROPERTY_NO_ROW(id, name, type, news)

/* A row of the vtable: get_property() is the file's, and calls property_get() with its table. */
#define PROPERTY_VTABLE(id, name, type, news)                                                      \
	SD_BUS_PROPERTY(name, #type, get_property, 0, PROPERTY_FLAGS_##news),
/* A row of the vtable for other types: get_ID() is a getter as sd-bus wants it. */
#define PROPERTY_VTABLE_OTHER(id, name, type, news)                                                \
	SD_BUS_PROPERTY(name, type, get_##id, 0, PROPERTY_FLAGS_##news),

/* get_ID(): @declaration is of the object, as "const struct vm *vm"; @kind: text or number. */
#define PROPERTY_GETTER(id, declaration, kind, value)                                              \
	static struct property_value get_##id(const void *object)                                  \
	{                                                                                          \
		declaration = object;                                                              \
		return (struct property_value){ .kind = (value) };                                 \
	}

/* --- what they do --- */

/**
 * property_get() - append a property to the answer to a client
 * @name: as sd-bus has it from its vtable
 *
 * Return: as getters of sd-bus do; UnknownProperty if @t has no row of that name.
 */
int property_get(const struct property_table *t, const char *name, const void *object,
		 sd_bus_message *reply, sd_bus_error *error);

/**
 * property_differences() - compare with what was told last
 * @was: a value for each row of @t, all zero at first; texts are owned
 * @names: set to the rows that change and do, NULL at the end
 *
 * @was is then as @object is. Without memory for a copy the text counts as different next time.
 */
void property_differences(const struct property_table *t, const void *object,
			  struct property_value *was, const char *names[PROPERTIES_MAX + 1]);
void property_forget(const struct property_table *t, struct property_value *was);

/* Send PropertiesChanged for what differs from @was, if anything does. Return: as sd-bus does. */
int property_tell(sd_bus *conn, const char *path, const struct property_table *t,
		  const void *object, struct property_value *was);
/* Send it for all rows that can change. */
int property_tell_all(sd_bus *conn, const char *path, const struct property_table *t);
