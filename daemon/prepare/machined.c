/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.freedesktop.machine1(5).
 */
#include "daemon/prepare/machined.h"

#include <errno.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include "libghvm/base/cleanup.h"

#define CALL_USEC (5 * 1000 * 1000ULL)

#define SERVICE "org.freedesktop.machine1"
#define OBJECT "/org/freedesktop/machine1"
#define INTERFACE "org.freedesktop.machine1.Manager"

static int open_bus(sd_bus **ret)
{
	int r = sd_bus_open_system(ret);

	if (r < 0)
		return r;
	return sd_bus_set_method_call_timeout(*ret, CALL_USEC);
}

int machined_register(const char *name, pid_t leader)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r = open_bus(&bus);

	if (r < 0)
		return r;
	/* name, id (none), service, class, leader, root folder (none) */
	return sd_bus_call_method(bus, SERVICE, OBJECT, INTERFACE, "RegisterMachine", NULL, NULL,
				  "sayssus", name, (size_t)0, "gunyah", "vm", (uint32_t)leader, "");
}

int machined_unregister(const char *name)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r = open_bus(&bus);

	if (r < 0)
		return r;
	return sd_bus_call_method(bus, SERVICE, OBJECT, INTERFACE, "UnregisterMachine", NULL, NULL,
				  "s", name);
}
