/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Host object: the hypervisor, its budget, its quarantine. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

int bus_host_publish(struct bus *b);
/* PropertiesChanged for all that can change. */
void bus_host_emit(struct bus *b);
