/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The objects that have an interface and no state of their own: Manager, Host, VMs, regions. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

int bus_manager_publish(struct bus *b);

/* The hypervisor, its budget, its quarantine. */
int bus_host_publish(struct bus *b);
/* PropertiesChanged for all that can change. */
void bus_host_emit(struct bus *b);

int bus_vm_publish(struct bus *b);
void bus_vm_done(struct bus *b);

/* Events of the manager, to be announced on the bus. */
void bus_vm_added(struct bus *b, struct vm *vm);
void bus_vm_removed(struct bus *b, struct vm *vm);
void bus_vm_changed(struct bus *b, struct vm *vm);
void bus_vm_state(struct bus *b, struct vm *vm, enum vm_state before);

/* Send PropertiesChanged for changes since the last call. */
void bus_vm_flush(struct bus *b);

/* ListDevices: replies later. Return: as sd-bus methods. */
int bus_devices_ask(struct bus *b, struct vm *vm, sd_bus_message *m, sd_bus_error *error);

int bus_region_publish(struct bus *b);
void bus_region_done(struct bus *b);

/* Record the regions of a VM without announcing them, before the bus is started. */
void bus_region_track(struct bus *b, struct vm *vm);
/* Announce changes since the last call. */
void bus_region_flush(struct bus *b, struct vm *vm);
/* Remove the regions of a VM, before the VM itself is removed. */
void bus_region_vm_removed(struct bus *b, struct vm *vm);
