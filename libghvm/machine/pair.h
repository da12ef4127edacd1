/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two machines with guests that have the same regions.
 *
 * RM makes a parcel for all its guests at once, so the machine that is built first makes the parcels, with the
 * VMIDs of both: it reserves one for the other machine, which joins when it is built. The parcels, with their
 * pins, belong to the first machine. It gets them back when neither guest has them any more, and deallocates the
 * second VMID then, unless the other machine still has it. Neither can be built again while the other guest has
 * the regions: a parcel's guests cannot be changed.
 */
#pragma once

#include "ghvm/machine.h"
#include "ghvm/spec.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct ghvm_machine_pair - how a machine takes part
 * @joins: the VMID that the other machine has reserved for it; 0: this one makes the parcels
 * @maker: incarnation of the other machine, if @joins
 * @readonly: labels of the regions that the other guest may only read, @n_readonly of them
 */
struct ghvm_machine_pair {
	struct ghvm_vmid joins;
	uint64_t maker;
	uint32_t readonly[GHVM_SPEC_REGIONS_MAX];
	size_t n_readonly;
};

/* Before build(), of a machine with such regions. All machines use one ledger. */
void ghvm_machine_set_pair(struct ghvm_machine *m, const struct ghvm_machine_pair *pair);

/* The VMID of the second guest of its parcels; 0: it has none. Not while an operation runs. */
struct ghvm_vmid ghvm_machine_peer(const struct ghvm_machine *m);

/*
 * True if the last teardown has taken back all but regions that another guest may still have. The next one can
 * take them back when that guest has ended. Not while an operation runs.
 */
bool ghvm_machine_awaits_peer(const struct ghvm_machine *m);
