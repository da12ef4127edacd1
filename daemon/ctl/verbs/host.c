/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host and quarantine: the state of the host.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "libghvm/base/json.h"
#include "daemon/ctl/client/object.h"
#include "daemon/ctl/output/table.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/hint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_INTERFACE "org.gunyah.vmm1.Host"
#define IDENTIFY_VERSION 0x3fff /* API version in the first word, abi A.3 */

#define QUIRKS_MAX 64

/**
 * struct quirk - one limit of the resource manager
 * @name, @source: owned
 */
struct quirk {
	char *name;
	bool is_bool;
	uint64_t value;
	char *source;
};

/**
 * struct host - properties of the host; texts are owned
 * @identify: words of hyp_identify
 */
struct host {
	BUS_HOST_PROPERTIES(OBJECT_MEMBER, OBJECT_NO_MEMBER)
	uint64_t identify[4];
	struct quirk quirks[QUIRKS_MAX];
	size_t n_quirks;
	uint64_t limit;
	uint64_t used;
	uint32_t parcels;
	uint32_t vmids;
	uint32_t stuck;
};

static int read_identify(sd_bus_message *m, void *object)
{
	struct host *h = object;
	const void *words;
	size_t size;
	int r = sd_bus_message_enter_container(m, 'v', "at");

	if (r >= 0)
		r = sd_bus_message_read_array(m, 't', &words, &size);
	if (r >= 0 && size != sizeof(h->identify))
		r = -EBADMSG;
	if (r < 0)
		return r;
	memcpy(h->identify, words, size);
	return sd_bus_message_exit_container(m);
}

/* Values of other types, from a later manager, are skipped. */
static int read_value(sd_bus_message *m, struct quirk *q)
{
	const char *type;
	int boolean, r = sd_bus_message_peek_type(m, NULL, &type);

	if (r < 0)
		return r;
	q->is_bool = !strcmp(type, "b");
	if (!q->is_bool)
		return strcmp(type, "t") != 0 ? sd_bus_message_skip(m, "v")
					      : sd_bus_message_read(m, "v", "t", &q->value);
	r = sd_bus_message_read(m, "v", "b", &boolean);
	if (r >= 0)
		q->value = boolean != 0;
	return r;
}

static int read_quirk(sd_bus_message *m, struct host *h)
{
	struct quirk q = {};
	const char *name;
	int r = sd_bus_message_enter_container(m, 'e', "sv");

	if (r <= 0)
		return r;
	r = sd_bus_message_read(m, "s", &name);
	if (r >= 0)
		r = read_value(m, &q);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0 || h->n_quirks == QUIRKS_MAX)
		return r < 0 ? r : -E2BIG;
	q.name = strdup(name);
	if (!q.name)
		return -ENOMEM;
	h->quirks[h->n_quirks++] = q;
	return 1;
}

static int read_source(sd_bus_message *m, struct host *h)
{
	const char *name, *source;
	int r = sd_bus_message_read(m, "{ss}", &name, &source);

	for (size_t i = 0; r > 0 && i < h->n_quirks; i++) {
		if (strcmp(h->quirks[i].name, name) != 0 || h->quirks[i].source)
			continue;
		h->quirks[i].source = strdup(source);
		if (!h->quirks[i].source)
			return -ENOMEM;
	}
	return r;
}

/* Read a variant with an array of @element by calling @read for each. */
static int read_list(sd_bus_message *m, const char *element, struct host *h,
		     int (*read)(sd_bus_message *m, struct host *h))
{
	char type[8];
	int r;

	(void)snprintf(type, sizeof(type), "a%s", element); /* fits */
	r = sd_bus_message_enter_container(m, 'v', type);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', element);
	while (r > 0)
		r = read(m, h);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_quirks(sd_bus_message *m, void *object)
{
	return read_list(m, "{sv}", object, read_quirk);
}

static int read_sources(sd_bus_message *m, void *object)
{
	return read_list(m, "{ss}", object, read_source);
}

static int read_budget(sd_bus_message *m, void *object)
{
	struct host *h = object;

	return sd_bus_message_read(m, "v", "(ttuuu)", &h->limit, &h->used, &h->parcels, &h->vmids,
				   &h->stuck);
}

#define OBJECT_STRUCT struct host
static const struct object_field fields[] = { BUS_HOST_PROPERTIES(OBJECT_FIELD,
								  OBJECT_FIELD_OTHER) };

static void host_done(struct host *h)
{
	object_done(fields, ARRAY_SIZE(fields), h);
	for (size_t i = 0; i < h->n_quirks; i++) {
		free(h->quirks[i].name);
		free(h->quirks[i].source);
	}
}

static int get_host(sd_bus *bus, struct host *h, struct ghvm_error *err)
{
	static const struct call c = {
		.path = CLIENT_HOST,
		.interface = "org.freedesktop.DBus.Properties",
		.member = "GetAll",
	};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = client_call(bus, &c, &m, err, "cannot read the state of the host", "s",
			    HOST_INTERFACE);

	if (r < 0)
		return r;
	r = object_read(m, fields, ARRAY_SIZE(fields), h);
	if (r >= 0 && (!h->state || !h->reason || !h->hypervisor || !h->generation || !h->why))
		r = -EBADMSG;
	return r < 0 ? ghvm_error_set(err, r, "malformed reply from gunyah-vmd") : 0;
}

static void quirks_json(struct ghvm_json *j, const struct host *h)
{
	ghvm_json_text(j, "generation", h->generation);
	ghvm_json_text(j, "generation_reason", h->why);
	ghvm_json_open(j, "quirks", '{');
	for (size_t i = 0; i < h->n_quirks; i++) {
		const struct quirk *q = &h->quirks[i];

		ghvm_json_open(j, q->name, '{');
		if (q->is_bool)
			ghvm_json_bool(j, "value", q->value);
		else
			ghvm_json_number(j, "value", q->value);
		ghvm_json_text(j, "source", q->source);
		ghvm_json_close(j, '}');
	}
	ghvm_json_close(j, '}');
}

static void host_json(const struct host *h)
{
	struct ghvm_json j = { .to = stdout, .first = true };

	ghvm_json_open(&j, NULL, '{');
	ghvm_json_text(&j, "state", h->state);
	ghvm_json_text(&j, "reason", h->reason);
	ghvm_json_text(&j, "hypervisor", h->hypervisor);
	ghvm_json_number(&j, "module_abi", h->abi);
	ghvm_json_number(&j, "entries_budget", h->limit);
	ghvm_json_number(&j, "entries_used", h->used);
	ghvm_json_number(&j, "parcels", h->parcels);
	ghvm_json_number(&j, "vmids", h->vmids);
	ghvm_json_number(&j, "vmids_stuck", h->stuck);
	ghvm_json_number(&j, "pages_quarantined", h->quarantined);
	ghvm_json_open(&j, "identify", '[');
	for (size_t i = 0; i < 4; i++)
		ghvm_json_number(&j, NULL, h->identify[i]);
	ghvm_json_close(&j, ']');
	quirks_json(&j, h);
	ghvm_json_close(&j, '}');
	putchar('\n');
}

static void quirks_text(const struct host *h)
{
	printf("limits\n");
	for (size_t i = 0; i < h->n_quirks; i++) {
		const struct quirk *q = &h->quirks[i];
		char value[24];

		if (q->is_bool)
			(void)snprintf(value, sizeof(value), "%s", q->value ? "yes" : "no");
		else
			(void)snprintf(value, sizeof(value), "%" PRIu64, q->value);
		printf("  %-16s %-8s %s\n", q->name, value, q->source ? q->source : "");
	}
}

static bool is_unavailable(const struct host *h)
{
	return !strcmp(h->state, "unavailable");
}

static void host_text(const struct host *h)
{
	if (is_unavailable(h)) {
		printf("state        %s: %s\n", h->state, h->reason);
		printf("try          %s\n", ghvm_hint_find(-ENODEV, 0, 0)->advice);
		return;
	}
	printf("hypervisor   %s, API %" PRIu64 ", module ABI %u\n", h->hypervisor,
	       h->identify[0] & IDENTIFY_VERSION, h->abi);
	printf("state        %s%s%s\n", h->state, *h->reason ? ": " : "", h->reason);
	printf("rm           %s: %s\n", h->generation, h->why);
	printf("entries      %" PRIu64 " of %" PRIu64 " used, %" PRIu64 " free, in %u parcels\n",
	       h->used, h->limit, h->used < h->limit ? h->limit - h->used : 0, h->parcels);
	printf("vmids        %u, %u of them stuck\n", h->vmids, h->stuck);
	printf("quarantine   %" PRIu64 " pages\n", h->quarantined);
	quirks_text(h);
}

int verb_host(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(host_done) struct host h = {};
	struct ghvm_error err = {};
	int r = client_open(&bus, &err);

	if (r == 0)
		r = get_host(bus, &h, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	if (ctl->json)
		host_json(&h);
	else
		host_text(&h);
	return is_unavailable(&h) ? CTL_NO_MANAGER : CTL_OK;
}

/* ---- quarantine ---- */

struct entry {
	const char *name;
	uint16_t vmid;
	uint64_t pages;
	uint32_t attempts;
	const char *why;
};

static int read_entry(sd_bus_message *m, struct entry *e)
{
	return sd_bus_message_read(m, "(sqtus)", &e->name, &e->vmid, &e->pages, &e->attempts,
				   &e->why);
}

static int quarantine_json(sd_bus_message *m)
{
	struct ghvm_json j = { .to = stdout, .first = true };
	struct entry e;
	int r;

	ghvm_json_open(&j, NULL, '[');
	while ((r = read_entry(m, &e)) > 0) {
		ghvm_json_open(&j, NULL, '{');
		ghvm_json_text(&j, "vm", e.name);
		ghvm_json_number(&j, "vmid", e.vmid);
		ghvm_json_number(&j, "pages", e.pages);
		ghvm_json_number(&j, "attempts", e.attempts);
		ghvm_json_text(&j, "reason", e.why);
		ghvm_json_close(&j, '}');
	}
	ghvm_json_close(&j, ']');
	putchar('\n');
	return r;
}

static int quarantine_table(sd_bus_message *m, bool color)
{
	static const char *const head[] = { "VM", "VMID", "PAGES", "TRIES", "REASON" };
	_cleanup_(table_done) struct table t = { .columns = 5 };
	int r = table_row(&t, head);
	struct entry e;

	while (r >= 0 && (r = read_entry(m, &e)) > 0) {
		char vmid[8], pages[24], tries[12];

		snprintf(vmid, sizeof(vmid), "%u", e.vmid);
		snprintf(pages, sizeof(pages), "%" PRIu64, e.pages);
		snprintf(tries, sizeof(tries), "%u", e.attempts);
		r = table_row(&t, (const char *const[]){ e.name, vmid, pages, tries, e.why });
	}
	if (r == 0 && t.n == t.columns)
		puts("nothing is in quarantine");
	else if (r == 0)
		table_print(&t, color);
	return r;
}

static int call_host(sd_bus *bus, const char *method, sd_bus_message **ret, struct ghvm_error *err)
{
	const struct call c = client_verb(CLIENT_HOST, HOST_INTERFACE, method);

	return client_call(bus, &c, ret, err, "cannot access the quarantine", "a{sv}", 0);
}

int verb_quarantine(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct ghvm_error err = {};
	sd_bus_message *reply = NULL;
	int r = client_open(&bus, &err);

	if (r == 0 && ctl->retry)
		r = call_host(bus, "RetryQuarantine", NULL, &err);
	if (r == 0)
		r = call_host(bus, "ListQuarantine", &reply, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	r = sd_bus_message_enter_container(reply, 'a', "(sqtus)");
	if (r >= 0)
		r = ctl->json ? quarantine_json(reply) : quarantine_table(reply, ctl->color);
	(void)sd_bus_message_unref(reply);
	return r < 0 ? ctl_fail(CTL_FAILED, "malformed reply from gunyah-vmd") : CTL_OK;
}
