/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Region objects: the memory regions of a guest. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

int bus_region_publish(struct bus *b);
void bus_region_done(struct bus *b);

/* Record the regions of a VM without announcing them, before the bus is started. */
void bus_region_track(struct bus *b, struct vm *vm);
/* Announce changes since the last call. */
void bus_region_flush(struct bus *b, struct vm *vm);
/* Remove the regions of a VM, before the VM itself is removed. */
void bus_region_vm_removed(struct bus *b, struct vm *vm);
