/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start and stop: the unit, by systemd, with the caller's own rights.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"

#include "libghvm/cleanup.h"
#include "libghvm/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A VM without a descriptor cannot be started; systemd would say it less well. */
static int check_exists(const struct ctl *ctl, const char *name)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};
	int r = ghvm_spec_load(name, ctl->dirs, &spec, NULL, &err);

	if (r == 0 || r == -EACCES)
		return CTL_OK;
	return ctl_fail(r == -ENOENT ? CTL_NO_VM : CTL_FAILED, "%s", err.msg);
}

static int run(const char *method, const char *name)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct ghvm_error err = {};
	int r = client_open(&bus, &err);

	if (r == 0)
		r = client_unit(bus, method, name, &err);
	if (r < 0)
		return ctl_fail(CTL_FAILED, "%s; see: ghvmctl why %s, journalctl -u gunyah-vm@%s",
				err.msg, name, name);
	return CTL_OK;
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
	_cleanup_(freep) char *path = client_path(name);
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct ghvm_error err = {};
	int r = path ? client_open(&bus, &err) : -ENOMEM;

	if (r == 0) {
		r = sd_bus_call_method(bus, CLIENT_MANAGER, path, "org.gunyah.vmm1.VM", "Stop", &e,
				       NULL, "sa{sv}", "force", 0);
		if (r < 0)
			r = client_error(&err, &e, r, name);
	}
	if (r < 0)
		return ctl_fail(r == -EHOSTDOWN ? CTL_NO_MANAGER : CTL_FAILED, "%s", err.msg);
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
