/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/job.h"

#include "daemon/ctl/client.h"
#include "daemon/ctl/object.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS 250 /* a unit that waits for its next try, 1 s, tells no news */

/**
 * struct answer - what the manager says of a job; texts are owned
 */
struct answer {
	BUS_JOB_PROPERTIES(OBJECT_MEMBER, OBJECT_NO_MEMBER)
};

#define OBJECT_STRUCT struct answer
static const struct object_field fields[] = { BUS_JOB_PROPERTIES(OBJECT_FIELD, OBJECT_NO_FIELD) };

/**
 * struct view - of a job
 * @result: "" while it runs
 */
struct view {
	char result[16];
	char error[GHVM_ERROR_TEXT];
};

static int on_news(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	bool *news = userdata;

	*news = true;
	return 0;
}

static int watch(sd_bus *bus, bool *news, sd_bus_slot *slots[2])
{
	int r = sd_bus_match_signal(bus, &slots[0], CLIENT_MANAGER, NULL,
				    "org.freedesktop.DBus.Properties", "PropertiesChanged", on_news,
				    news);

	if (r < 0)
		return r;
	return sd_bus_match_signal(bus, &slots[1], "org.freedesktop.DBus", NULL,
				   "org.freedesktop.DBus", "NameOwnerChanged", on_news, news);
}

static void keep(struct view *v, const struct answer *a)
{
	(void)snprintf(v->result, sizeof(v->result), "%s", a->result ? a->result : ""); /* short */
	(void)snprintf(v->error, sizeof(v->error), "%s", a->error ? a->error : ""); /* as long */
}

static int look(sd_bus *bus, const char *path, struct view *v, struct ghvm_error *err)
{
	const struct call c = {
		.path = path,
		.interface = "org.freedesktop.DBus.Properties",
		.member = "GetAll",
		.no_start = true, /* another manager does not know it */
	};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	struct answer a = {};
	int r = client_call(bus, &c, &m, err, "what has become of it cannot be said", "s",
			    CLIENT_MANAGER ".Job");

	if (r < 0)
		return r;
	r = object_read(m, fields, ARRAY_SIZE(fields), &a);
	if (r >= 0)
		keep(v, &a);
	object_done(fields, ARRAY_SIZE(fields), &a);
	return r < 0 ? ghvm_error_set(err, r, "the manager's answer makes no sense") : 0;
}

static int rest(sd_bus *bus, struct wait *w, const bool *news, struct ghvm_error *err)
{
	const uint64_t until = wait_ms(w) + LOOK_MS;
	int r = 0;

	while (r >= 0 && !*news && wait_ms(w) < until)
		r = wait_on(w, bus);
	return r < 0 ? ghvm_error_set(err, r, "the bus is lost: %s", strerror(-r)) : 0;
}

static int judge(const struct view *v, struct ghvm_error *err)
{
	if (!strcmp(v->result, "done"))
		return 0;
	return ghvm_error_set(err, strcmp(v->result, "cancelled") ? -EREMOTEIO : -ECANCELED, "%s",
			      *v->error ? v->error : v->result);
}

int job_follow(sd_bus *bus, const char *path, job_tell tell, void *data, struct ghvm_error *err)
{
	sd_bus_slot *slots[2] = {};
	struct wait w = {};
	struct view v = {};
	bool news = false;
	int r = watch(bus, &news, slots);

	if (r < 0)
		(void)ghvm_error_set(err, r, "the bus does not tell news: %s", strerror(-r));
	while (r >= 0) {
		news = false;
		r = look(bus, path, &v, err);
		if (r < 0 || *v.result)
			break;
		tell(data, bus, &w);
		r = rest(bus, &w, &news, err);
	}
	wait_clear(&w);
	for (size_t i = 0; i < 2; i++)
		(void)sd_bus_slot_unref(slots[i]);
	return r < 0 ? r : judge(&v, err);
}
