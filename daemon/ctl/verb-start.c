/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start and stop: the unit, by systemd, with the caller's own rights.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/complaints.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/unit.h"

#include "libghvm/cleanup.h"
#include "libghvm/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A VM without a descriptor cannot be started; systemd would say it less well. */
static int check_exists(const struct ctl *ctl, const char *name)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};
	int r = ghvm_spec_load(name, ctl->dirs, &spec, &all, &err);

	if (r == 0 || r == -EACCES)
		return CTL_OK;
	complaints_print(&all, stderr);
	if (all.n)
		return ctl_fail(CTL_FAILED, "%s is not started: its descriptor has mistakes", name);
	return ctl_fail(r == -ENOENT ? CTL_NO_VM : CTL_FAILED, "%s", err.msg);
}

/* The manager knows the step, systemd only that something ended. */
static void say_why(sd_bus *bus, const char *name)
{
	_cleanup_(client_vms_done) struct client_vms vms = {};
	const struct client_vm *vm = NULL;
	struct unit_state unit;

	if (client_list(bus, &vms, NULL) == 0)
		vm = client_find(&vms, name);
	if (vm && vm->last_error && *vm->last_error)
		(void)ctl_fail(CTL_FAILED, "%s: %s", name, vm->last_error);
	unit_look(bus, name, &unit);
	if (*unit.result && strcmp(unit.result, "success"))
		(void)ctl_fail(CTL_FAILED, "the unit: %s, status %d", unit.result, unit.status);
	fprintf(stderr, "see: ghvmctl why %s, journalctl -u gunyah-vm@%s\n", name, name);
}

static int run(const char *method, const char *name)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct ghvm_error err = {};
	int r = client_open(&bus, &err);

	if (r == 0)
		r = unit_run(bus, method, name, &err);
	if (r == 0)
		return CTL_OK;
	(void)ctl_fail(CTL_FAILED, "%s", err.msg);
	if (r == -EREMOTEIO)
		say_why(bus, name);
	return CTL_FAILED;
}

int verb_start(const struct ctl *ctl, char **args, int n)
{
	int r = check_exists(ctl, args[0]);

	return r != CTL_OK ? r : run("StartUnit", args[0]);
}

/* The guest is not asked. The unit ends by itself then. */
static int force(const char *name)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *path = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct ghvm_error err = {};
	int r = client_open(&bus, &err);

	if (r == 0)
		r = client_path(bus, name, &path, &err);
	if (r == 0) {
		r = sd_bus_call_method(bus, CLIENT_MANAGER, path, "org.gunyah.vmm1.VM", "Stop", &e,
				       NULL, "sa{sv}", "force", 0);
		if (r < 0)
			r = client_error(&err, &e, r, name);
	}
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	return CTL_OK;
}

int verb_stop(const struct ctl *ctl, char **args, int n)
{
	int r = CTL_OK;

	if (!ghvm_name_valid(args[0]))
		return ctl_fail(CTL_NO_VM, "'%s' is not a VM's name", args[0]);
	if (ctl->force)
		r = force(args[0]);
	return r != CTL_OK ? r : run("StopUnit", args[0]);
}
