/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decide what to do when a guest ends. Pure.
 */
#pragma once

#include "daemon/ipc/protocol.h"
#include "ghvm/machine.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * struct verdict_input - how a guest ended, and its settings
 * @asked: a stop was requested
 * @on_reboot, @on_crash, @on_watchdog: of the descriptor
 * @can_rebuild: a reboot in place is possible
 */
struct verdict_input {
	enum ghvm_exit_type type;
	bool asked;
	enum ghvm_on_end on_reboot;
	enum ghvm_on_end on_crash;
	enum ghvm_on_end on_watchdog;
	bool can_rebuild;
};

/**
 * struct verdict - the decision
 * @action: for the runner
 * @crashed: the guest crashed; @looped: it rebooted too often
 * @reason: for ExitReason, static
 */
struct verdict {
	enum ghvm_link_action action;
	bool crashed;
	const char *reason;
	bool looped;
};

struct verdict verdict_of(const struct verdict_input *in);

/* The verdict for a guest that reboots too often. */
struct verdict verdict_of_loop(void);

/*
 * Derive the type of end from the run state of a vCPU, if RM's notification was lost (decision 26).
 * Return: 1, with the type; 0: the guest has not ended.
 */
int verdict_guess(uint64_t run_state, enum ghvm_exit_type *ret);
