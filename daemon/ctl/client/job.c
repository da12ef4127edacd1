/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/job.h"

#include "daemon/ctl/client/client.h"
#include "daemon/ctl/client/object.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS 250 /* less than the 1 s a unit waits before its next try, which has no signal */

/**
 * struct answer - properties of a job from the manager; texts are owned
 */
struct answer {
	BUS_JOB_PROPERTIES(OBJECT_MEMBER, OBJECT_NO_MEMBER)
};

#define OBJECT_STRUCT struct answer
static const struct object_field fields[] = { BUS_JOB_PROPERTIES(OBJECT_FIELD, OBJECT_NO_FIELD) };

/**
 * struct view - properties of a job
 * @result: "" while the job runs
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

static int watch_signals(sd_bus *bus, bool *news, sd_bus_slot *slots[2])
{
	int r = sd_bus_match_signal(bus, &slots[0], CLIENT_MANAGER, NULL,
				    "org.freedesktop.DBus.Properties", "PropertiesChanged", on_news,
				    news);

	if (r < 0)
		return r;
	return sd_bus_match_signal(bus, &slots[1], "org.freedesktop.DBus", NULL,
				   "org.freedesktop.DBus", "NameOwnerChanged", on_news, news);
}

static void keep_answer(struct view *v, const struct answer *a)
{
	(void)snprintf(v->result, sizeof(v->result), "%s", a->result ? a->result : ""); /* short */
	(void)snprintf(v->error, sizeof(v->error), "%s", a->error ? a->error : ""); /* as long */
}

static int read_job(sd_bus *bus, const char *path, struct view *v, struct ghvm_error *err)
{
	const struct call c = {
		.path = path,
		.interface = "org.freedesktop.DBus.Properties",
		.member = "GetAll",
		.no_start = true, /* a new manager does not know the job */
	};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	struct answer a = {};
	int r = client_call(bus, &c, &m, err, "lost the manager; the result is unknown", "s",
			    CLIENT_MANAGER ".Job");

	if (r < 0)
		return r;
	r = object_read(m, fields, ARRAY_SIZE(fields), &a);
	if (r >= 0)
		keep_answer(v, &a);
	object_done(fields, ARRAY_SIZE(fields), &a);
	return r < 0 ? ghvm_error_set(err, r, "malformed reply from gunyah-vmd") : 0;
}

static int wait_for_news(sd_bus *bus, struct wait *w, const bool *news, struct ghvm_error *err)
{
	const uint64_t until = wait_ms(w) + LOOK_MS;
	int r = 0;

	while (r >= 0 && !*news && wait_ms(w) < until)
		r = wait_on(w, bus);
	return r < 0 ? ghvm_error_set(err, r, "lost the connection to the bus: %s", strerror(-r))
		     : 0;
}

static int job_result(const struct view *v, struct ghvm_error *err)
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
	int r = watch_signals(bus, &news, slots);

	if (r < 0)
		(void)ghvm_error_set(err, r, "cannot subscribe to the manager's signals: %s",
				     strerror(-r));
	while (r >= 0) {
		news = false;
		r = read_job(bus, path, &v, err);
		if (r < 0 || *v.result)
			break;
		tell(data, bus, &w);
		r = wait_for_news(bus, &w, &news, err);
	}
	wait_clear(&w);
	for (size_t i = 0; i < 2; i++)
		(void)sd_bus_slot_unref(slots[i]);
	return r < 0 ? r : job_result(&v, err);
}
