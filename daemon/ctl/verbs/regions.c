/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/verbs/regions.h"

#include "daemon/ctl/client/client.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define REGION CLIENT_MANAGER ".Region"

#define OBJECT_STRUCT struct region
static const struct object_field fields[] = { BUS_REGION_PROPERTIES(OBJECT_FIELD,
								    OBJECT_NO_FIELD) };

void regions_done(struct regions *r)
{
	for (size_t i = 0; i < r->n; i++)
		object_done(fields, ARRAY_SIZE(fields), &r->v[i]);
	free(r->v);
	*r = (struct regions){};
}

const char *region_peer(const struct region *r)
{
	return r->shared_with && *r->shared_with ? r->shared_with : NULL;
}

/* a{sv} */
static int read_region(sd_bus_message *m, struct regions *all)
{
	struct region *v = reallocarray(all->v, all->n + 1, sizeof(*v)), *r;
	int e;

	if (!v)
		return -ENOMEM;
	all->v = v;
	r = &v[all->n++];
	*r = (struct region){};
	e = object_read(m, fields, ARRAY_SIZE(fields), r);
	return e >= 0 && (!r->access || !r->host_access || !r->kind || !r->state) ? -EBADMSG : e;
}

/* a{sa{sv}}: the interfaces of one object */
static int read_object(sd_bus_message *m, bool ours, struct regions *all)
{
	const char *interface;
	int e = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");

	while (e >= 0 && (e = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
		e = sd_bus_message_read_basic(m, 's', &interface);
		if (e >= 0)
			e = ours && !strcmp(interface, REGION) ? read_region(m, all)
							       : sd_bus_message_skip(m, "a{sv}");
		if (e >= 0)
			e = sd_bus_message_exit_container(m);
	}
	return e < 0 ? e : sd_bus_message_exit_container(m);
}

/* a{oa{sa{sv}}}: read the objects below @base */
static int read_objects(sd_bus_message *m, const char *base, struct regions *all)
{
	const size_t n = strlen(base);
	const char *path;
	int e = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");

	while (e >= 0 && (e = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
		e = sd_bus_message_read_basic(m, 'o', &path);
		if (e >= 0)
			e = read_object(m, !strncmp(path, base, n) && path[n] == '/', all);
		if (e >= 0)
			e = sd_bus_message_exit_container(m);
	}
	return e;
}

static int by_address(const void *a, const void *b)
{
	const struct region *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

int regions_read(sd_bus *bus, const char *vm, struct regions *ret, struct ghvm_error *err)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = client_objects(bus, &reply, err);

	if (r < 0)
		return r;
	r = read_objects(reply, vm, ret);
	if (r < 0)
		return ghvm_error_set(err, r, "malformed reply from gunyah-vmd");
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_address);
	return 0;
}
