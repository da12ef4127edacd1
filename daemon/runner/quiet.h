/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detects a vCPU that runs for a long time without an exit: it computes, or its guest is caught in a loop
 * of exceptions, which only debug images of the hypervisor end (abi K.10). These cases cannot be
 * distinguished, so it is only reported. Thread: main.
 */
#pragma once

#include "daemon/runner/guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIET_LOOKS 4 /* checks within the time limit */

/**
 * struct quiet - state of the last check
 * @next: when to check again, 0: now
 * @exits, @since: of each vCPU: number of exits, and since when it is unchanged
 * @written, @output: number of bytes of console output, and when it last changed
 * @said: a vCPU was reported
 */
struct quiet {
	uint64_t next;
	uint64_t exits[GHVM_SPEC_CPUS_MAX];
	uint64_t since[GHVM_SPEC_CPUS_MAX];
	uint64_t written;
	uint64_t output;
	bool said;
};

/**
 * quiet_look() - check the vCPUs; called at @next, or more often, while the guest runs
 * @now: milliseconds; @limit_ms: time without an exit
 * @ret: text about the vCPU, set only if it has changed; "" if there is no such vCPU
 *
 * Return: true: @ret is set.
 */
bool quiet_look(struct quiet *q, const struct guest *g, uint64_t now, unsigned int limit_ms,
		char *ret, size_t size);
