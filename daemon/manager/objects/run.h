/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RunVM of the Manager object: transient VMs.
 *
 * Such a VM is gone when it has ended and systemd does not start its unit again. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

struct runs;

int runs_new(struct bus *b, struct runs **ret);
/* Accepts NULL. */
void runs_free(struct runs *r);

/* A method; userdata is the bus. */
int runs_run(sd_bus_message *m, void *userdata, sd_bus_error *error);

void runs_on_vm_state(struct runs *r, struct vm *vm);
void runs_on_vm_removed(struct runs *r, const struct vm *vm);
