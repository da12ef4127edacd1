/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DefineVM and UndefineVM of the Manager object.
 *
 * Files are copied on a thread for each call, because copies and fsync() take long. The call is answered
 * when all is on disk. Meanwhile the VM cannot start. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

struct definitions;

int definitions_new(struct bus *b, struct definitions **ret);
/* Ends copies that run; their clients get no reply. Accepts NULL. */
void definitions_free(struct definitions *all);

/*
 * Is there neither a descriptor of that name, nor a call that is writing or removing one? Return: as sd-bus
 * methods.
 */
int definitions_check_new(const struct definitions *all, const char *name, sd_bus_error *error);

/* Methods; userdata is the bus. */
int definitions_define(sd_bus_message *m, void *userdata, sd_bus_error *error);
int definitions_undefine(sd_bus_message *m, void *userdata, sd_bus_error *error);
