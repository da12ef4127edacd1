/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU that runs and never comes out: it computes, or its guest is lost in a loop of exceptions,
 * which only debug images of the hypervisor end (abi K.10). Nobody can tell which, so it is said and
 * nothing is done. Thread: main.
 */
#pragma once

#include "daemon/runner/guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIET_LOOKS 4 /* in the time that makes it worth a word */

/**
 * struct quiet - what was seen at the last look
 * @next: when to look again, 0: at once
 * @exits, @since: of each vCPU: how many there were, and since when no more came
 * @written, @output: the same of the console's bytes
 * @said: a word was said
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
 * quiet_look() - to be called at @next, or more often, while the guest runs
 * @now: milliseconds; @limit_ms: worth a word
 * @ret: what is to be said of the guest: set only if that has changed; "" it is as it should be
 *
 * Return: true: @ret is set.
 */
bool quiet_look(struct quiet *q, const struct guest *g, uint64_t now, unsigned int limit_ms,
		char *ret, size_t size);
