/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the last manager has left a VMID that nothing tells of: a file says that it has not.
 *
 * Killed between ALLOCATE and the first guard a manager leaves a VM that no tag names, which costs a
 * question for each VMID to find. One that ends by itself knows that it has not.
 */
#pragma once

#include <stdbool.h>

/* True: it has said so, which is true no longer: this one is about to make VMs. */
bool settled_take(const char *dir);
void settled_leave(const char *dir);
