/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Empty files in the folder of state files, by which a manager tells the next one of this boot something.
 */
#pragma once

#include "ghvm/types.h"

#include <stdbool.h>

/*
 * Each VMID in use has a tag in the module, as a manager says that exits regularly. One that is killed
 * between ALLOCATE and the first guard leaves a VM without a tag, so without this mark the next one must
 * query RM for each VMID. It is taken by a manager that is about to create VMs.
 */
#define MARK_SETTLED "vmids.settled" /* cannot be a VM: VM names have no dots */

/* RM has refused RAM that is shared, and has taken the same RAM as a loan: no later start tries it. */
#define MARK_LENDS_RAM "ram.lent"

bool mark_is_set(const char *dir, const char *mark);
/* Return: true if it was set. */
bool mark_take(const char *dir, const char *mark);
/* @so: what follows if the mark cannot be written; for the log */
void mark_set(const char *dir, const char *mark, const char *so);

/*
 * Note that RM has allocated @vmid here, or that this is over: no manager searches for a VMID that is outside
 * of RM's usual range, unless an earlier one has noted it.
 */
void mark_vmid(const char *dir, struct ghvm_vmid vmid, bool used);
bool mark_vmid_is_set(const char *dir, struct ghvm_vmid vmid);
