/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All objects on the bus, fed by what the manager says. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

/**
 * bus_objects_init() - connect, publish the objects, take the name
 * @address: "system", "user", or a bus address
 *
 * Blocks, before the loop runs.
 */
int bus_objects_init(struct bus *b, struct manager *m, const char *address);
void bus_objects_done(struct bus *b);
