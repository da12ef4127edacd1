/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All objects on the bus; they follow the manager's events. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

/**
 * bus_objects_init() - connect to the bus, publish the objects, acquire the name
 * @address: "system", "user", or a bus address
 *
 * Blocks, before the loop runs.
 */
int bus_objects_init(struct bus *b, struct manager *m, const char *address);
void bus_objects_done(struct bus *b);
