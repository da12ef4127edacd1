/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager/bus/property.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int append_value(sd_bus_message *reply, char type, struct property_value v)
{
	switch (type) {
	case 's':
		return sd_bus_message_append(reply, "s", v.text);
	case 'b':
		return sd_bus_message_append(reply, "b", v.number != 0);
	case 'q':
		return sd_bus_message_append(reply, "q", (uint16_t)v.number);
	case 'i':
		return sd_bus_message_append(reply, "i", (int32_t)(int64_t)v.number);
	case 'u':
		return sd_bus_message_append(reply, "u", (uint32_t)v.number);
	case 't':
		return sd_bus_message_append(reply, "t", v.number);
	}
	return -EINVAL;
}

int property_get(const struct property_table *t, const char *name, const void *object,
		 sd_bus_message *reply, sd_bus_error *error)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->rows[i].name, name))
			return append_value(reply, *t->rows[i].type, t->rows[i].get(object));
	return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_PROPERTY, "%s has no property '%s'",
				 t->interface, name);
}

static bool is_text(const struct property *p)
{
	return *p->type == 's';
}

static bool same(const struct property *p, struct property_value a, struct property_value b)
{
	if (is_text(p))
		return a.text && b.text && !strcmp(a.text, b.text);
	return a.number == b.number;
}

static void keep_value(const struct property *p, struct property_value now,
		       struct property_value *was)
{
	if (!is_text(p)) {
		*was = now;
		return;
	}
	free((char *)was->text);
	was->text = now.text ? strdup(now.text) : NULL;
}

void property_differences(const struct property_table *t, const void *object,
			  struct property_value *was, const char *names[PROPERTIES_MAX + 1])
{
	struct property_value now;
	size_t n = 0;

	assert(t->n <= PROPERTIES_MAX);
	for (size_t i = 0; i < t->n; i++) {
		if (!t->rows[i].changes)
			continue;
		now = t->rows[i].get(object);
		if (same(&t->rows[i], was[i], now))
			continue;
		keep_value(&t->rows[i], now, &was[i]);
		names[n++] = t->rows[i].name;
	}
	names[n] = NULL;
}

void property_forget(const struct property_table *t, struct property_value *was)
{
	for (size_t i = 0; i < t->n; i++)
		if (is_text(&t->rows[i]))
			free((char *)was[i].text);
	memset(was, 0, t->n * sizeof(*was));
}

static int emit_changed(sd_bus *conn, const char *path, const struct property_table *t,
			const char **names)
{
	return sd_bus_emit_properties_changed_strv(conn, path, t->interface, (char **)names);
}

int property_tell(sd_bus *conn, const char *path, const struct property_table *t,
		  const void *object, struct property_value *was)
{
	const char *names[PROPERTIES_MAX + 1];

	property_differences(t, object, was, names);
	return names[0] ? emit_changed(conn, path, t, names) : 0;
}

int property_tell_all(sd_bus *conn, const char *path, const struct property_table *t)
{
	const char *names[PROPERTIES_MAX + 1];
	size_t n = 0;

	assert(t->n <= PROPERTIES_MAX);
	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i].changes)
			names[n++] = t->rows[i].name;
	names[n] = NULL;
	return emit_changed(conn, path, t, names);
}
