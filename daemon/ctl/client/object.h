/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An object of the manager, as its properties are read from an answer, a{sv}.
 *
 * A struct for it has a member for each row of a list in bus-properties.h, named by the row's id,
 * and a table of fields says where each value goes:
 *
 *     struct region { BUS_REGION_PROPERTIES(OBJECT_MEMBER, OBJECT_NO_MEMBER) };
 *     static const struct object_field fields[] = {
 *             BUS_REGION_PROPERTIES(OBJECT_FIELD, OBJECT_NO_FIELD)
 *     };
 */
#pragma once

#include "daemon/ipc/bus-properties.h"

#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#define OBJECT_TYPE_s char *
#define OBJECT_TYPE_b int
#define OBJECT_TYPE_q uint16_t
#define OBJECT_TYPE_i int32_t
#define OBJECT_TYPE_u uint32_t
#define OBJECT_TYPE_t uint64_t

#define OBJECT_MEMBER(id, name, type, news) OBJECT_TYPE_##type id;
#define OBJECT_NO_MEMBER(id, name, type, news)

/**
 * struct object_field - where a property goes
 * @type: one of s b q i u t; texts are owned by the object
 * @offset: of the member in the object
 * @read: reads a value of any other type; @m is at the variant
 */
struct object_field {
	const char *name;
	const char *type;
	size_t offset;
	int (*read)(sd_bus_message *m, void *object);
};

/* OBJECT_STRUCT is the struct of the file that uses it. */
#define OBJECT_FIELD(id, name, type, news) { name, #type, offsetof(OBJECT_STRUCT, id), NULL },
/* Values of other types are read by read_ID(). */
#define OBJECT_FIELD_OTHER(id, name, type, news) { name, type, 0, read_##id },
#define OBJECT_NO_FIELD(id, name, type, news)

/**
 * object_read() - read an a{sv}
 * @object: all zero, or with texts that are owned; a property that @fields lack is left out
 *
 * Return: 0; negative errno, -ENXIO for a value of another type. object_done() in each case.
 */
int object_read(sd_bus_message *m, const struct object_field *fields, size_t n, void *object);
/* Free its texts. */
void object_done(const struct object_field *fields, size_t n, void *object);
