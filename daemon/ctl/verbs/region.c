/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region: list the memory regions of a guest, add or remove one while the guest runs, copy from and to it.
 *
 * add and remove are transactions with one change. On a failure before the commit, closing the
 * connection rolls the transaction back.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/client/job.h"
#include "libghvm/base/json.h"
#include "daemon/ctl/output/table.h"
#include "daemon/ctl/verbs/region-memory.h"
#include "daemon/ctl/verbs/regions.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/near.h"
#include "libghvm/base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSACTION CLIENT_MANAGER ".Transaction"

/* ---- list ---- */

static void list_json(const struct regions *all)
{
	struct ghvm_json j = { .to = stdout, .first = true };

	ghvm_json_open(&j, NULL, '[');
	for (size_t i = 0; i < all->n; i++) {
		const struct region *r = &all->v[i];

		ghvm_json_open(&j, NULL, '{');
		ghvm_json_number(&j, "label", r->label);
		ghvm_json_number(&j, "address", r->address);
		ghvm_json_number(&j, "size", r->size);
		ghvm_json_text(&j, "access", r->access);
		ghvm_json_text(&j, "host_access", r->host_access);
		ghvm_json_text(&j, "shared_with", region_peer(r));
		ghvm_json_text(&j, "kind", r->kind);
		ghvm_json_text(&j, "state", r->state);
		ghvm_json_bool(&j, "added", r->added);
		ghvm_json_close(&j, '}');
	}
	ghvm_json_close(&j, ']');
	putchar('\n');
}

static int list_table(const struct regions *all, bool color)
{
	static const char *const head[] = { "LABEL", "ADDRESS", "SIZE",	 "ACCESS",
					    "HOST",  "KIND",	"STATE", "WITH" };
	_cleanup_(table_done) struct table t = { .columns = ARRAY_SIZE(head) };
	int e = table_row(&t, head);

	for (size_t i = 0; e == 0 && i < all->n; i++) {
		const struct region *r = &all->v[i];
		char label[12], address[24], size[TABLE_SIZE_TEXT];

		snprintf(label, sizeof(label), "%" PRIu32, r->label);
		snprintf(address, sizeof(address), "0x%" PRIx64, r->address);
		e = table_row(&t,
			      (const char *const[]){ label, address, table_size(r->size, size),
						     r->access, r->host_access, r->kind, r->state,
						     region_peer(r) ? region_peer(r) : "-" });
	}
	if (e == 0)
		table_print(&t, color);
	return e;
}

static int list_regions(const struct ctl *ctl, sd_bus *bus, const char *vm)
{
	_cleanup_(regions_done) struct regions all = {};
	struct ghvm_error err = {};
	int r = regions_read(bus, vm, &all, &err);

	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	if (ctl->json)
		list_json(&all);
	else
		r = list_table(&all, ctl->color);
	return r < 0 ? ctl_fail(CTL_FAILED, "out of memory") : CTL_OK;
}

/* ---- transactions ---- */

/* -ENOENT means a missing region here, not a missing VM. */
static int report_error(int r, const struct ghvm_error *err)
{
	return ctl_fail(r == -ENOENT ? CTL_FAILED : client_status(r), "%s", err->msg);
}

/* @ret: object path of the transaction, owned. Return: enum ctl_status. */
static int begin_transaction(sd_bus *bus, const char *vm, char **ret)
{
	const struct call c = client_verb(vm, CLIENT_MANAGER ".VM", "BeginTransaction");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct ghvm_error err = {};
	const char *path;
	int r = client_call(bus, &c, &reply, &err, "cannot change the guest's memory", "a{sv}", 0);

	if (r < 0)
		return report_error(r, &err);
	r = sd_bus_message_read(reply, "o", &path);
	*ret = r < 0 ? NULL : strdup(path);
	return *ret ? CTL_OK : ctl_fail(CTL_FAILED, "malformed reply from gunyah-vmd");
}

static void show_step(void *data, sd_bus *bus, struct wait *w)
{
	wait_for(w, "the guest to release or map memory");
}

static struct call transaction_call(const char *transaction, const char *method)
{
	return (struct call){
		.path = transaction,
		.interface = TRANSACTION,
		.member = method,
	};
}

static int commit_transaction(sd_bus *bus, const char *transaction)
{
	const struct call c = transaction_call(transaction, "Commit");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct ghvm_error err = {};
	const char *job;
	int r = client_call(bus, &c, &reply, &err, "cannot change the guest's memory", "a{sv}", 0);

	if (r < 0)
		return report_error(r, &err);
	if (sd_bus_message_read(reply, "o", &job) < 0)
		return ctl_fail(CTL_FAILED, "malformed reply from gunyah-vmd");
	r = job_follow(bus, job, show_step, NULL, &err);
	return r < 0 ? report_error(r, &err) : CTL_OK;
}

static int add_region(const struct ctl *ctl, sd_bus *bus, const char *vm, uint32_t label)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL; /* owns fd */
	_cleanup_(freep) char *transaction = NULL;
	struct ghvm_error err = {};
	uint64_t address, size;
	int fd = -1, r, status;
	struct call c;

	if (!ctl->address || !ctl->size || !ghvm_number_parse(ctl->address, &address) ||
	    !ghvm_size_parse(ctl->size, &size))
		return ctl_fail(CTL_USAGE, "region add needs --address=A and --size=S");
	status = begin_transaction(bus, vm, &transaction);
	if (status != CTL_OK)
		return status;
	c = transaction_call(transaction, "AddFreshRegion");
	r = client_call(bus, &c, &reply, &err, "cannot add the region", "a{sv}", 4, "label", "u",
			label, "address", "t", address, "size", "t", size, "readonly", "b",
			(int)ctl->readonly);
	if (r < 0)
		return report_error(r, &err);
	if (sd_bus_message_read(reply, "h", &fd) < 0)
		return ctl_fail(CTL_FAILED, "malformed reply from gunyah-vmd");
	if (ctl->file)
		status = region_fill(ctl->file, fd, size);
	if (status == CTL_OK)
		status = commit_transaction(bus, transaction);
	return status;
}

static int remove_region(sd_bus *bus, const char *vm, uint32_t label)
{
	_cleanup_(freep) char *transaction = NULL;
	struct ghvm_error err = {};
	int r, status = begin_transaction(bus, vm, &transaction);
	struct call c;

	if (status != CTL_OK)
		return status;
	c = transaction_call(transaction, "RemoveRegion");
	r = client_call(bus, &c, NULL, &err, "cannot remove the region", "ua{sv}", label, 0);
	return r < 0 ? report_error(r, &err) : commit_transaction(bus, transaction);
}

static const struct {
	const char *name;
	const char *verb;
	const char *options; /* letters of main.c */
} commands[] = {
	{ "list", "region list", "j" },	    { "add", "region add", "laosyi" },
	{ "remove", "region remove", "l" }, { "dump", "region dump", "" },
	{ "load", "region load", "" },
};

static int bad_command(const char *word)
{
	struct ghvm_near near = ghvm_near_begin(word);
	char text[GHVM_NEAR_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		ghvm_near_offer(&near, commands[i].name);
	return ctl_fail(CTL_USAGE, "region: '%s' is not list, add, remove, dump or load%s", word,
			ghvm_near_text(&near, text));
}

static bool read_label(const char *text, uint32_t *ret)
{
	uint64_t label;

	if (!text || !ghvm_number_parse(text, &label) || label > UINT32_MAX)
		return false;
	*ret = (uint32_t)label;
	return true;
}

/* @ret: the label, of --label or of the arguments. Return: enum ctl_status. */
static int check_arguments(const struct ctl *ctl, char **args, int n, uint32_t *ret)
{
	const bool copies = !strcmp(args[0], "dump") || !strcmp(args[0], "load");

	if (!copies && n > 2)
		return ctl_fail(CTL_USAGE, "region %s takes one NAME", args[0]);
	if (!strcmp(args[0], "list"))
		return CTL_OK;
	if (!copies)
		return read_label(ctl->label, ret)
			       ? CTL_OK
			       : ctl_fail(CTL_USAGE, "region %s needs --label=N", args[0]);
	if (n < 3 || !read_label(args[2], ret))
		return ctl_fail(CTL_USAGE, "region %s needs NAME and the LABEL of a region",
				args[0]);
	if (n < 4 && !strcmp(args[0], "load"))
		return ctl_fail(CTL_USAGE, "region load needs a FILE, or - for standard input");
	return CTL_OK;
}

static int run_command(const struct ctl *ctl, sd_bus *bus, const char *vm, uint32_t label,
		       char **args, int n)
{
	const char *file = n > 3 ? args[3] : NULL;

	if (!strcmp(args[0], "list"))
		return list_regions(ctl, bus, vm);
	if (!strcmp(args[0], "add"))
		return add_region(ctl, bus, vm, label);
	if (!strcmp(args[0], "remove"))
		return remove_region(bus, vm, label);
	return !strcmp(args[0], "dump") ? region_dump(bus, vm, label, file)
					: region_load(bus, vm, label, file);
}

/* list|add|remove NAME; dump NAME LABEL [FILE]; load NAME LABEL FILE */
int verb_region(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *vm = NULL;
	struct ghvm_error err = {};
	uint32_t label = 0;
	size_t i = 0;
	int r;

	while (i < ARRAY_SIZE(commands) && strcmp(args[0], commands[i].name))
		i++;
	if (i == ARRAY_SIZE(commands))
		return bad_command(args[0]);
	r = ctl_check_options(ctl, commands[i].verb, commands[i].options);
	if (r == CTL_OK)
		r = check_arguments(ctl, args, n, &label);
	if (r != CTL_OK)
		return r;
	r = client_open(&bus, &err);
	if (r == 0)
		r = client_path(bus, args[1], &vm, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	return run_command(ctl, bus, vm, label, args, n);
}
