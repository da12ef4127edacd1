/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Units as systemd sees them: that of a VM, gunyah-vm@NAME.service, and the manager's own. Everybody
 * may look.
 */
#pragma once

#include "libghvm/error.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

#define UNIT_MANAGER "gunyah-vmd.service"

/**
 * unit_stop() - have a VM's unit stopped with the caller's own rights, and wait for that
 *
 * For when there is no manager that could do it.
 *
 * Return: 0; -EREMOTEIO the job failed, the text says how; another errno.
 */
int unit_stop(sd_bus *bus, const char *name, struct ghvm_error *err);

/**
 * struct unit_state - empty and 0 where systemd does not say
 * @active: "active", "activating", "deactivating", "inactive", "failed"
 * @sub: of it: "start-pre", "auto-restart", ...
 * @result: of its last run, "success" or what went wrong
 * @text: what its process says of itself
 * @status: exit status or signal of its process
 * @restarts: how often systemd has started it again by itself
 * @burst: how many starts are allowed in a while
 * @pause_usec: of systemd, between a start that failed and the next try
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

/* Of the VM @name. */
void unit_look(sd_bus *bus, const char *name, struct unit_state *ret);
void unit_look_at(sd_bus *bus, const char *unit, struct unit_state *ret);

/* Which try of a start it is in, or waits for: from 1. */
unsigned int unit_try(const struct unit_state *u);

#define UNIT_TRY_SIZE 64

/* The same for people: "in 1 s (2 of 30)", and without the time when that try has begun. */
const char *unit_try_text(const struct unit_state *u, char buf[UNIT_TRY_SIZE]);

#define UNIT_REMARK_SIZE 256

struct client_vm;

/* What the runner of a VM has to say of its guest; "" nothing, or systemd does not answer. */
void unit_remark(const struct client_vm *vm, char ret[UNIT_REMARK_SIZE]);

/* It runs, or will; or is about to end. */
bool unit_is_busy(const struct unit_state *u);
