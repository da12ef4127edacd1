/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * list: VMs of the manager, and descriptors. Without a manager only descriptors are listed.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "libghvm/base/json.h"
#include "daemon/ctl/output/table.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "libghvm/base/printable.h"
#include "libghvm/spec/files.h"
#include "ghvm/spec.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void freestrvp(char ***v)
{
	for (char **s = *v; s && *s; s++)
		free(*s);
	free(*v);
}

/* Add a VM that has a descriptor and is not known to the manager. @known: the manager has replied */
static int add_stopped(struct client_vms *vms, const char *name, bool known)
{
	struct client_vm *v;

	if (client_find(vms, name))
		return 0;
	v = reallocarray(vms->v, vms->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	vms->v = v;
	v[vms->n] = (struct client_vm){
		.name = strdup(name),
		.state = strdup(known ? "stopped" : "unknown"),
	};
	vms->n++;
	return v[vms->n - 1].name && v[vms->n - 1].state ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct client_vm *)a)->name, ((const struct client_vm *)b)->name);
}

static void print_json(const struct client_vms *vms)
{
	struct ghvm_json j = { .to = stdout, .first = true };

	ghvm_json_open(&j, NULL, '[');
	for (size_t i = 0; i < vms->n; i++) {
		const struct client_vm *vm = &vms->v[i];

		ghvm_json_open(&j, NULL, '{');
		ghvm_json_text(&j, "name", vm->name);
		ghvm_json_text(&j, "state", vm->state);
		ghvm_json_text(&j, "substate", vm->sub_state);
		ghvm_json_number(&j, "vmid", vm->vmid);
		ghvm_json_number(&j, "lent", vm->lent);
		ghvm_json_number(&j, "shared", vm->shared);
		ghvm_json_number(&j, "pages_quarantined", vm->quarantined);
		ghvm_json_close(&j, '}');
	}
	ghvm_json_close(&j, ']');
	putchar('\n');
}

static int print_table(const struct client_vms *vms, bool color)
{
	static const char *const head[] = { "NAME", "STATE", "VMID", "LENT", "SHARED", "NOTE" };
	_cleanup_(table_done) struct table t = { .columns = 6 };
	int r = table_row(&t, head);

	for (size_t i = 0; i < vms->n && r == 0; i++) {
		const struct client_vm *vm = &vms->v[i];
		char vmid[8] = "-", lent[TABLE_SIZE_TEXT], shared[TABLE_SIZE_TEXT];

		if (vm->vmid)
			snprintf(vmid, sizeof(vmid), "%u", vm->vmid);
		r = table_row(&t, (const char *const[]){
					  vm->name,
					  vm->state,
					  vmid,
					  vm->lent ? table_size(vm->lent, lent) : "-",
					  vm->shared ? table_size(vm->shared, shared) : "-",
					  vm->quarantined ? "quarantined pages" : "",
				  });
	}
	if (r == 0)
		table_print(&t, color);
	return r;
}

/* Name a file that looks like a descriptor and is not one. */
static void report_ignored(const char *dir, const char *file)
{
	const char *suffix = strrchr(file, '.');
	char shown[NAME_MAX + 1], stem[NAME_MAX + 1];

	if (!suffix || suffix == file)
		return;
	(void)snprintf(shown, sizeof(shown), "%s", file);
	ghvm_make_printable(shown);
	(void)snprintf(stem, sizeof(stem), "%.*s", (int)(suffix - file), file);
	if (!strcmp(suffix, ".yml"))
		(void)ctl_fail(0, "%s/%s is ignored: the name of a descriptor ends in .yaml", dir,
			       shown);
	else if (!strcmp(suffix, ".yaml") && !ghvm_name_valid(stem))
		(void)ctl_fail(0,
			       "%s/%s is ignored: the name of a VM is 1 to 27 of a-z, 0-9 and -, "
			       "no dash first or last",
			       dir, shown);
}

static void report_all_ignored(const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d)))
		report_ignored(dir, e->d_name);
	if (d)
		(void)closedir(d);
}

int verb_list(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_vms_done) struct client_vms vms = {};
	_cleanup_(freestrvp) char **names = NULL;
	struct ghvm_error err = {};
	int r = client_open(&bus, &err), listed;
	bool known;

	if (r == 0)
		r = client_list(bus, &vms, &err);
	known = r == 0;
	if (known && vms.host.code < 0)
		(void)ctl_fail(0, "%s", vms.host.msg);
	if (!known)
		(void)ctl_fail(0, "%s; only descriptors are listed", err.msg);

	listed = ghvm_spec_list(ctl->dirs, &names, &err);
	r = names ? 0 : listed;
	for (char **s = names; r == 0 && *s; s++)
		r = add_stopped(&vms, *s, known);
	if (r < 0)
		return ctl_fail(CTL_FAILED, "out of memory");
	if (vms.n)
		qsort(vms.v, vms.n, sizeof(*vms.v), by_name);
	if (ctl->json)
		print_json(&vms);
	else if (print_table(&vms, ctl->color) < 0)
		return ctl_fail(CTL_FAILED, "out of memory");
	for (const char *const *d = ghvm_spec_dirs(ctl->dirs); *d; d++)
		report_all_ignored(*d);
	if (listed < 0)
		return ctl_fail(CTL_FAILED, "%s; the list may be incomplete", err.msg);
	return CTL_OK;
}
