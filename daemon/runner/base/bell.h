/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interrupt of a device: an edge, which a failed call delays but does not lose.
 *
 * An edge that the guest does not get is not repeated by its device, so the guest could wait for it forever. A call
 * that may succeed later is repeated: a few times at once, then by the main thread until it succeeds.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "ghvm/host.h"
#include "ghvm/types.h"

#define BELL_AGAIN_MS 10 /* between two tries of the main thread */

/**
 * struct bell - the interrupt of a device
 * @host: borrowed; NULL: there is no VM at the moment
 * @cap: GHVM_CAPID_NONE: interrupts are dropped
 * @device: its kind, for messages
 * @wake: eventfd that tells the main thread of an edge that is owed, borrowed; -1: none
 * @owed: the guest has not got an edge; bell_again() repeats it
 * @told: a message about it was written
 * @failed: tries of bell_again() in a row that failed. Thread: main
 *
 * Thread: main while no vCPU runs, then any.
 */
struct bell {
	struct ghvm_host *host;
	struct ghvm_capid cap;
	const char *device;
	int wake;
	atomic_bool owed;
	atomic_bool told;
	unsigned int failed;
};

/* Raise an edge; without a VM it is dropped. Thread: any. Do not hold a lock of the device. */
void bell_ring(struct bell *bell);

/* Raise the edge that is owed, if one is. Thread: main */
void bell_again(struct bell *bell);
