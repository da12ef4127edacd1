/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The systemd units of a VM, gunyah-vm@NAME.service, and of the manager. Reading their state needs no
 * permission.
 */
#pragma once

#include "ghvm/error.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

#define UNIT_MANAGER "gunyah-vmd.service"

/**
 * unit_stop() - stop a VM's unit with the rights of the caller, and wait for the end of the job
 *
 * Used if there is no manager.
 *
 * Return: 0; -EREMOTEIO the job failed; another errno. All with a message.
 */
int unit_stop(sd_bus *bus, const char *name, struct ghvm_error *err);

/**
 * struct unit_state - properties of a unit; empty or 0 if systemd does not reply
 * @active: "active", "activating", "deactivating", "inactive", "failed"
 * @sub: substate: "start-pre", "auto-restart", ...
 * @result: "success", or how the last run failed
 * @text: status text of the process
 * @status: exit status or signal of the process
 * @restarts: number of automatic restarts
 * @burst: StartLimitBurst=
 * @pause_usec: RestartSec=
 */
struct unit_state {
	char active[16];
	char sub[24];
	char result[32];
	char text[256];
	int status;
	uint32_t restarts;
	uint32_t burst;
	uint64_t pause_usec;
};

/* Read the state of the unit of the VM @name, or of @unit. */
void unit_look(sd_bus *bus, const char *name, struct unit_state *ret);
void unit_look_at(sd_bus *bus, const char *unit, struct unit_state *ret);

/* Number of the current or next try of a start, from 1. */
unsigned int unit_try(const struct unit_state *u);

#define UNIT_TRY_SIZE 64

/* The same as text: "in 1 s (2 of 30)", or "(2 of 30)" if the try has begun. */
const char *unit_try_text(const struct unit_state *u, char buf[UNIT_TRY_SIZE]);

struct client_vm;

/* The unit runs, starts or stops. */
bool unit_is_busy(const struct unit_state *u);
