/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest all of whose vCPUs are off: has it ended?
 *
 * Before an end proper they are all off for a moment as well, and RM then wakes them. If it does
 * not, either they turned themselves off, or the hypervisor has lost the end (abi K.10).
 * Thread: main.
 */
#pragma once

#include "daemon/runner/guest.h"

#include <stdbool.h>
#include <stdint.h>

#define HALT_NEVER UINT64_MAX

/**
 * struct halt - how far the question is
 * @next: when each vCPU is looked at again, or HALT_NEVER
 * @looking: they are being looked at
 */
struct halt {
	uint64_t next;
	bool looking;
};

void halt_init(struct halt *h);

/**
 * halt_check() - go on with it; to be called whenever something may have changed
 * @runs: the guest counts as running
 * @now: milliseconds
 * @patience_ms: how long all must be off before they are looked at
 *
 * Return: true: it has ended.
 */
bool halt_check(struct halt *h, struct guest *g, bool runs, uint64_t now, unsigned int patience_ms);
