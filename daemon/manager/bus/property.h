/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties of an object on the bus: its rows of bus-properties.h, each with a getter.
 *
 * The file of an object defines get_ID() for each row, and makes its table and vtable from the rows. A
 * missing getter is a compile error. Thread: main.
 */
#pragma once

#include "daemon/ipc/bus-properties.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#define PROPERTIES_MAX 32 /* rows of a table */

/**
 * struct property_value - result of a getter
 * @text: for type s; borrowed from the object
 * @number: for other types; negative ones as int64_t
 */
struct property_value {
	const char *text;
	uint64_t number;
};

/**
 * struct property - a row of the table
 * @type: one of s b q i u t
 * @changes: PropertiesChanged is sent for this property
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

/* --- macros for the lists of bus-properties.h --- */

#define PROPERTY_CHANGES_CONST false
#define PROPERTY_CHANGES_CHANGES true
#define PROPERTY_CHANGES_SILENT false
#define PROPERTY_FLAGS_CONST SD_BUS_VTABLE_PROPERTY_CONST
#define PROPERTY_FLAGS_CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define PROPERTY_FLAGS_SILENT 0

/* A row of struct property; nothing for a property of another type. */
#define PROPERTY_ROW(id, name, type, news) { name, #type, PROPERTY_CHANGES_##news, get_##id },
#define PROPERTY_NO_ROW(id, name, type, news)

/* Define @table of the rows of @list, and get_property() for the vtable, which reads from it. */
#define PROPERTY_TABLE(interface_name, list)                                                       \
	static const struct property rows[] = { list(PROPERTY_ROW, PROPERTY_NO_ROW) };             \
	static const struct property_table table = {                                               \
		interface_name,                                                                    \
		rows,                                                                              \
		sizeof(rows) / sizeof(rows[0]),                                                    \
	};                                                                                         \
	static int get_property(sd_bus *bus, const char *path, const char *interface,              \
				const char *property, sd_bus_message *reply, void *userdata,       \
				sd_bus_error *error)                                               \
	{                                                                                          \
		return property_get(&table, property, userdata, reply, error);                     \
	}

/* A row of the vtable: get_property() of PROPERTY_TABLE() reads it. */
#define PROPERTY_VTABLE(id, name, type, news)                                                      \
	SD_BUS_PROPERTY(name, #type, get_property, 0, PROPERTY_FLAGS_##news),
/* A row of the vtable for other types: get_ID() is an sd-bus getter. */
#define PROPERTY_VTABLE_OTHER(id, name, type, news)                                                \
	SD_BUS_PROPERTY(name, type, get_##id, 0, PROPERTY_FLAGS_##news),

/* Define get_ID(). @declaration: of the object, as "const struct vm *vm"; @kind: text or number. */
#define PROPERTY_GETTER(id, declaration, kind, value)                                              \
	static struct property_value get_##id(const void *object)                                  \
	{                                                                                          \
		declaration = object;                                                              \
		return (struct property_value){ .kind = (value) };                                 \
	}

/* --- functions --- */

/**
 * property_get() - append the value of a property to a reply
 * @name: from the vtable
 *
 * Return: as sd-bus getters; UnknownProperty if @t has no row of that name.
 */
int property_get(const struct property_table *t, const char *name, const void *object,
		 sd_bus_message *reply, sd_bus_error *error);

/**
 * property_differences() - compare an object with the values announced last
 * @was: a value for each row of @t, initially zero; texts are owned
 * @names: returns the names of rows with @changes that differ, with a NULL at the end
 *
 * @was is updated. If a text cannot be copied, it counts as different next time.
 */
void property_differences(const struct property_table *t, const void *object,
			  struct property_value *was, const char *names[PROPERTIES_MAX + 1]);
void property_forget(const struct property_table *t, struct property_value *was);

/* Send PropertiesChanged for the differences from @was, if any. Return: as sd-bus. */
int property_tell(sd_bus *conn, const char *path, const struct property_table *t,
		  const void *object, struct property_value *was);
/* Send PropertiesChanged for all rows with @changes. */
int property_tell_all(sd_bus *conn, const char *path, const struct property_table *t);
