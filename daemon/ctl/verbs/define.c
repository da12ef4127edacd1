/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * define and undefine: a VM from a descriptor that is sent to the manager with its files, and the end of
 * such a VM.
 */
#include "daemon/ctl/verbs/define.h"

#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/output/complaints.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

static bool has_errors(const struct ghvm_complaints *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].severity == GHVM_SEVERITY_ERROR)
			return true;
	return false;
}

int define_send(const char *name, const char *file, const char *text, size_t len,
		struct descriptor_sent *ret)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	struct ghvm_error err = {};
	int r = descriptor_send(name, file, text, len, NULL, ret, &all, &err);

	complaints_print(&all, stderr);
	if (r == 0)
		return CTL_OK;
	return has_errors(&all) ? CTL_FAILED : ctl_fail(CTL_FAILED, "%s", err.msg);
}

static int send_file(const char *path, const char *name, struct descriptor_sent *ret)
{
	_cleanup_(freep) char *text = NULL;
	struct ghvm_error err = {};
	size_t len = 0;

	if (descriptor_read(path, &text, &len, &err) < 0)
		return ctl_fail(CTL_FAILED, "%s", err.msg);
	return define_send(name, path, text, len, ret);
}

int verb_define(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(descriptor_sent_done) struct descriptor_sent sent = { .spec = -1 };
	struct ghvm_error err = {};
	char name[GHVM_NAME_SIZE];
	int r;

	if (descriptor_name(args[0], name) < 0)
		return ctl_fail(CTL_FAILED, "%s: the file name is too long for a VM name", args[0]);
	r = send_file(args[0], name, &sent);
	if (r != CTL_OK)
		return r;
	r = client_open(&bus, &err);
	if (r == 0)
		r = descriptor_define(bus, name, &sent, ctl->force, &err);
	return r < 0 ? ctl_fail(client_status(r), "%s", err.msg) : CTL_OK;
}

int verb_undefine(const struct ctl *ctl, char **args, int n)
{
	const struct call c = client_verb(CLIENT_ROOT, CLIENT_MANAGER ".Manager", "UndefineVM");
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct ghvm_error err = {};
	int r = client_open(&bus, &err);

	if (r == 0)
		r = client_call(bus, &c, NULL, &err, args[0], "sa{sv}", args[0], 0);
	return r < 0 ? ctl_fail(client_status(r), "%s", err.msg) : CTL_OK;
}
