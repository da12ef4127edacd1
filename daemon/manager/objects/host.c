/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.gunyah.vmm1.Host.
 */
#include "daemon/manager/objects/interfaces.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/manager/bus/polkit.h"
#include "daemon/manager/bus/property.h"
#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/core/log.h"
#include "libghvm/base/bits.h"
#include "libghvm/hyp/host.h"

#define INTERFACE BUS_NAME ".Host"

static const char *host_state_to_string(enum manager_host_state s)
{
	static const char *const names[] = {
		[MANAGER_HOST_OK] = "ok",
		[MANAGER_HOST_UNAVAILABLE] = "unavailable",
		[MANAGER_HOST_RM_DEAD] = "rm-dead",
	};

	return names[s];
}

/* Return: a static buffer, as all callers are on the main thread. */
static const char *hypervisor_of(const struct bus *b)
{
	const struct ghvm_info *info = &b->manager->info;
	static char text[64];

	(void)snprintf(text, sizeof(text), "%08x-%08x-%08x-%08x", info->uid[0], info->uid[1],
		       info->uid[2], info->uid[3]); /* fits */
	return info->abi ? text : "";
}

static uint64_t pages_quarantined(const struct bus *b)
{
	const char *why;

	return quarantine_pages(&b->manager->quarantine, NULL, &why);
}

#define TEXT(id, value) PROPERTY_GETTER(id, const struct bus *b, text, value)
#define NUMBER(id, value) PROPERTY_GETTER(id, const struct bus *b, number, value)

TEXT(state, host_state_to_string(b->manager->host_state))
TEXT(reason, b->manager->host_error.msg)
TEXT(hypervisor, hypervisor_of(b))
NUMBER(abi, b->manager->info.abi)
TEXT(generation, b->manager->probe.quirks.generation)
TEXT(why, b->manager->probe.why)
NUMBER(quarantined, pages_quarantined(b))

static int get_identify(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct ghvm_info *info = &((struct bus *)userdata)->manager->info;

	return sd_bus_message_append(reply, "at", 4, info->identify[0], info->identify[1],
				     info->identify[2], info->identify[3]);
}

static int append_quirk(sd_bus_message *reply, const struct ghvm_quirks *q, enum ghvm_quirk which)
{
	const char *name = ghvm_quirk_to_string(which);

	if (ghvm_quirk_is_bool(which))
		return sd_bus_message_append(reply, "{sv}", name, "b", ghvm_quirk(q, which) != 0);
	return sd_bus_message_append(reply, "{sv}", name, "t", ghvm_quirk(q, which));
}

static int get_quirks(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct ghvm_quirks *q = &((struct bus *)userdata)->manager->probe.quirks;
	int r = sd_bus_message_open_container(reply, 'a', "{sv}");

	for (int i = 0; r >= 0 && i < GHVM_QUIRK_COUNT_; i++)
		r = append_quirk(reply, q, (enum ghvm_quirk)i);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* The source of each quirk: a section of docs/gunyah-abi.md, or how it was found out. */
static int get_sources(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct ghvm_quirks *q = &((struct bus *)userdata)->manager->probe.quirks;
	int r = sd_bus_message_open_container(reply, 'a', "{ss}");

	for (int i = 0; r >= 0 && i < GHVM_QUIRK_COUNT_; i++)
		r = sd_bus_message_append(reply, "{ss}", ghvm_quirk_to_string((enum ghvm_quirk)i),
					  q->v[i].source);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* (budget, used, parcels, VMIDs, stuck VMIDs) */
static int get_budget(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	struct ghvm_ledger_figures f;

	ghvm_ledger_figures(&b->manager->ledger, &f);
	return sd_bus_message_append(reply, "(ttuuu)", f.entries_limit, f.entries, f.parcels,
				     f.vmids, f.stuck);
}

PROPERTY_TABLE(INTERFACE, BUS_HOST_PROPERTIES)

/* ListQuarantine(a{sv}) -> a(sqtus): VM, VMID, pages, attempts, reason */
static int method_list(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	sd_bus_message *reply = NULL;
	int r;

	r = bus_read_options(m, error);
	if (r >= 0)
		r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(sqtus)");
	for (struct quarantined *e = b->manager->quarantine.first; e && r >= 0; e = e->next)
		r = sd_bus_message_append(reply, "(sqtus)", e->name, e->vmid, e->pages, e->attempts,
					  e->why.msg);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return bus_send_reply(reply, r);
}

/* RetryQuarantine(a{sv}): returns immediately; PagesQuarantined shows the result */
static int method_retry(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	uid_t uid;
	int r;

	r = bus_check_hypervisor(b, error);
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r < 0)
		return r;
	r = auth_check(b->auth, m, "org.gunyah.vmm1.stop", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	quarantine_retry(&b->manager->quarantine);
	return sd_bus_reply_method_return(m, "");
}

#define MESSAGE_TYPE "ttssuquay"

static int append_message(sd_bus_message *reply, const struct ghvm_trace_message *m)
{
	const char direction[] = { m->dir, '\0' };
	const size_t kept = m->len < sizeof(m->data) ? m->len : sizeof(m->data);
	int r = sd_bus_message_open_container(reply, 'r', MESSAGE_TYPE);

	if (r >= 0)
		r = sd_bus_message_append(reply, "ttssuqu", m->number, m->usec, m->vm, direction,
					  m->id, m->seq, m->len);
	if (r >= 0)
		r = sd_bus_message_append_array(reply, 'y', m->data, kept);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_messages(sd_bus_message *reply, struct ghvm_trace *t, const char *vm,
			   uint64_t after)
{
	struct ghvm_trace_message m;
	int r = sd_bus_message_open_container(reply, 'a', "(" MESSAGE_TYPE ")");

	for (int n = 0; r >= 0 && n < GHVM_TRACE_MESSAGES && ghvm_trace_next(t, vm, after, &m);
	     n++) {
		r = append_message(reply, &m);
		after = m.number;
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Option vm (s): only messages of this VM. @data: the name, borrowed from @m */
static int trace_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *error)
{
	return strcmp(key, "vm") ? bus_unknown_option(key, error)
				 : sd_bus_message_read(m, "v", "s", data);
}

/*
 * Trace(t after, a{sv}) -> a(ttssuquay): number, time in microseconds, VM, direction (> sent,
 * < reply, ! notification), message id, sequence, length, the beginning of the payload
 */
static int method_trace(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	struct ghvm_trace_message first;
	sd_bus_message *reply = NULL;
	struct ghvm_error err = {};
	const char *vm = NULL;
	uint64_t after;
	uid_t uid;
	int r;

	r = sd_bus_message_read(m, "t", &after);
	if (r >= 0)
		r = bus_read_known_options(m, trace_option, &vm, error);
	if (r < 0)
		return r;
	/* messages contain host memory addresses, which Linux shows only to root */
	r = auth_check(b->auth, m, "org.gunyah.vmm1.inspect", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	if (vm && !manager_find(b->manager, vm) &&
	    !ghvm_trace_next(b->manager->trace, vm, 0, &first)) { /* nor was there one */
		(void)ghvm_spec_absent(vm, b->manager->options->vms_dirs, &err);
		return bus_fail(error, &err);
	}
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = append_messages(reply, b->manager->trace, vm, after);
	return bus_send_reply(reply, r);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	BUS_HOST_PROPERTIES(PROPERTY_VTABLE, PROPERTY_VTABLE_OTHER) SD_BUS_METHOD_WITH_ARGS(
		"ListQuarantine", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a(sqtus)", entries),
		method_list, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RetryQuarantine", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
				method_retry, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Trace", SD_BUS_ARGS("t", after, "a{sv}", options),
				SD_BUS_RESULT("a(" MESSAGE_TYPE ")", messages), method_trace,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int bus_host_publish(struct bus *b)
{
	return sd_bus_add_object_vtable(b->conn, NULL, BUS_HOST_PATH, INTERFACE, vtable, b);
}

void bus_host_emit(struct bus *b)
{
	int r = property_tell_all(b->conn, BUS_HOST_PATH, &table);

	if (r < 0)
		log_warning(NULL, r, "Cannot announce a change of the host on the bus");
}
