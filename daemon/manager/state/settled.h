/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file by which a manager that exits regularly says that each VMID in use has a tag in the module.
 *
 * A manager that is killed between ALLOCATE and the first guard leaves a VM without a tag. Without this
 * file the next manager must therefore query RM for each VMID.
 */
#pragma once

#include <stdbool.h>

/* Return: true if the file existed. Removes it, because this manager is about to create VMs. */
bool settled_take(const char *dir);
void settled_leave(const char *dir);
