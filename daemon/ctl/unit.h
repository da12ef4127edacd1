/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The unit of a VM, gunyah-vm@NAME.service, by systemd and with the caller's own rights.
 */
#pragma once

#include "libghvm/error.h"

#include <systemd/sd-bus.h>

/**
 * unit_run() - have it started or stopped, and wait for the end of that
 * @method: "StartUnit" or "StopUnit"
 * Return: 0; -EREMOTEIO the job failed, the text says how; another errno.
 */
int unit_run(sd_bus *bus, const char *method, const char *name, struct ghvm_error *err);

/**
 * struct unit_state - how systemd sees it
 * @active: "active", "activating", "deactivating", "inactive", "failed"; "" not known
 * @result: of its last run, "success" or what went wrong
 * @status: exit status or signal of the runner
 */
struct unit_state {
	char active[16];
	char result[32];
	int status;
};

/* Empty strings where systemd does not say. */
void unit_look(sd_bus *bus, const char *name, struct unit_state *ret);
