/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Object paths of a VM and of what is below it. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

/* The object path of a VM, owned by the caller; NULL: out of memory. */
char *bus_vm_path(const struct vm *vm);
/* Parse a path with BUS_REGION or BUS_TRANSACTION: its number and VM. Return: NULL for other paths. */
struct vm *bus_vm_below(const struct bus *b, const char *path, const char *word, uint32_t *ret);
