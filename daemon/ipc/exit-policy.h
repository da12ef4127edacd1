/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the end of a guest means: pure.
 */
#pragma once

#include "daemon/ipc/protocol.h"
#include "ghvm/machine.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * struct verdict_input - an end, and what was wanted
 * @asked: somebody asked for the stop
 * @on_reboot, @on_crash: of the descriptor
 * @can_rebuild: a reboot in place is possible
 */
struct verdict_input {
	enum ghvm_exit_type type;
	bool asked;
	enum ghvm_on_end on_reboot;
	enum ghvm_on_end on_crash;
	bool can_rebuild;
};

/**
 * struct verdict - what follows
 * @action: for the runner
 * @crashed: the guest did not mean to end; @looped: it does nothing but reboot
 * @reason: for ExitReason, static
 */
struct verdict {
	enum ghvm_link_action action;
	bool crashed;
	const char *reason;
	bool looped;
};

struct verdict verdict_of(const struct verdict_input *in);

/* Of a reboot too many. */
struct verdict verdict_of_loop(void);

/*
 * What the vCPUs saw, where RM's notification was lost (decision 26). 1 and the type;
 * 0: that run state is no end.
 */
int verdict_guess(uint64_t run_state, enum ghvm_exit_type *ret);
