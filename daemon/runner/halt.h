/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detects a guest that has ended because all its vCPUs are off.
 *
 * During a regular end all vCPUs are off for a moment, too, until RM wakes them. If RM does not, either
 * they turned themselves off, or the hypervisor has lost the end (abi K.10, decision 44).
 * Thread: main.
 */
#pragma once

#include "daemon/runner/guest.h"

#include <stdbool.h>
#include <stdint.h>

#define HALT_NEVER UINT64_MAX

/**
 * struct halt - state of the detection
 * @next: when to check each vCPU, or HALT_NEVER
 * @looking: a check is running (guest_look())
 */
struct halt {
	uint64_t next;
	bool looking;
};

void halt_init(struct halt *h);

/**
 * halt_check() - continue the detection; call it whenever something may have changed
 * @runs: the guest is in the running state
 * @now: milliseconds
 * @patience_ms: how long all vCPUs must be off before they are checked
 *
 * Return: true: the guest has ended.
 */
bool halt_check(struct halt *h, struct guest *g, bool runs, uint64_t now, unsigned int patience_ms);
