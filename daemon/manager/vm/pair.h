/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs with regions that another VM has as well: which of the two makes them, and which joins.
 *
 * The VM that is built first makes them. Then both must end before either can start again, since RM makes a parcel
 * for certain VMIDs and cannot change them. Thread: main.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/spec.h"

#include <stdbool.h>

struct vm;

/**
 * vm_pair_check() - could @vm start with @spec now?
 *
 * Return: 1, yes, or no region is shared with another VM; 0, it has to wait for the other VM's build or end;
 * -EBUSY, the other VM must end first; -EINVAL the two descriptors do not match.
 */
int vm_pair_check(const struct vm *vm, const struct ghvm_spec *spec, struct ghvm_error *err);

/* Prepare the guest of @vm for its build, to make the regions or to join. Return: as vm_pair_check(). */
int vm_pair_prepare(struct vm *vm, struct ghvm_error *err);

/* Does another VM have regions of the guest, as far as its descriptor is known? */
bool vm_is_paired(const struct vm *vm);

/* Of its timer: look again. */
void vm_on_peer_pause(void *data);
