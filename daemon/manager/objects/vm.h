/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VM objects. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

int bus_vm_publish(struct bus *b);
void bus_vm_done(struct bus *b);

/* What the manager says of a VM, to be told. */
void bus_vm_added(struct bus *b, struct vm *vm);
void bus_vm_removed(struct bus *b, struct vm *vm);
void bus_vm_changed(struct bus *b, struct vm *vm);
void bus_vm_state(struct bus *b, struct vm *vm, enum vm_state before);

/* PropertiesChanged for what differs from what was told last. */
void bus_vm_flush(struct bus *b);

/* Its object path, owned by the caller; NULL: no memory. */
char *bus_vm_path(const struct vm *vm);
/* Of a path as BUS_REGION or BUS_TRANSACTION make it: the number, and its VM; NULL: it is none. */
struct vm *bus_vm_below(const struct bus *b, const char *path, const char *word, uint32_t *ret);
