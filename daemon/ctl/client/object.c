/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *member(const struct object_field *f, void *object)
{
	return (uint8_t *)object + f->offset;
}

static int read_text(sd_bus_message *m, char **ret)
{
	const char *text;
	int r = sd_bus_message_read_basic(m, 's', &text);

	if (r < 0)
		return r;
	free(*ret);
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int read_value(sd_bus_message *m, const struct object_field *f, void *object)
{
	int r;

	if (f->read)
		return f->read(m, object);
	r = sd_bus_message_enter_container(m, 'v', f->type);
	if (r >= 0)
		r = *f->type == 's' ? read_text(m, member(f, object))
				    : sd_bus_message_read_basic(m, *f->type, member(f, object));
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, const struct object_field *fields, size_t n,
			 void *object)
{
	const char *name;
	int r = sd_bus_message_read_basic(m, 's', &name);

	for (size_t i = 0; r >= 0 && i < n; i++)
		if (!strcmp(name, fields[i].name))
			return read_value(m, &fields[i], object);
	return r < 0 ? r : sd_bus_message_skip(m, "v"); /* of a later manager */
}

int object_read(sd_bus_message *m, const struct object_field *fields, size_t n, void *object)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_property(m, fields, n, object);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

void object_done(const struct object_field *fields, size_t n, void *object)
{
	char **text;

	for (size_t i = 0; i < n; i++) {
		if (fields[i].read || *fields[i].type != 's')
			continue;
		text = member(&fields[i], object);
		free(*text);
		*text = NULL;
	}
}
