/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Region objects: a guest's memory as the bus was told of it. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

int bus_region_publish(struct bus *b);
void bus_region_done(struct bus *b);

/* Before there is anybody to tell. */
void bus_region_track(struct bus *b, struct vm *vm);
/* Tell what differs from what was told last. */
void bus_region_flush(struct bus *b, struct vm *vm);
/* The VM goes; its regions before it. */
void bus_region_vm_removed(struct bus *b, struct vm *vm);
