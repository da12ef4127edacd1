/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VM objects. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

int bus_vm_publish(struct bus *b);
void bus_vm_done(struct bus *b);

/* Events of the manager, to be announced on the bus. */
void bus_vm_added(struct bus *b, struct vm *vm);
void bus_vm_removed(struct bus *b, struct vm *vm);
void bus_vm_changed(struct bus *b, struct vm *vm);
void bus_vm_state(struct bus *b, struct vm *vm, enum vm_state before);

/* Send PropertiesChanged for changes since the last call. */
void bus_vm_flush(struct bus *b);
