/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which resource manager this host has, found out once, before the loop runs.
 *
 * Blocks with RM's deadlines. Thread: main.
 */
#pragma once

#include "ghvm/host.h"
#include "libghvm/rm/quirks.h"
#include "libghvm/rm/rpc.h"

/**
 * struct probe - what was found
 * @why: this row; static text
 * @quirks: a copy of the row, with what was tried out on this host
 * @facts: that the row was chosen by
 */
struct probe {
	const char *why;
	struct ghvm_quirks quirks;
	struct ghvm_quirks_facts facts;
};

/* Nothing is known yet: the careful row. */
void probe_init(struct probe *p);

/* Ask. Failures are logged, and leave the careful row. */
void probe_identify(struct probe *p, struct ghvm_rm *rm, const struct ghvm_info *info);

/**
 * probe_presplit() - find out whether a LEND unmaps, unless it was found out since the boot
 * @state_dir: where the answer is kept
 *
 * While nobody else has memory of RM: with something in the quarantine it is not tried. Forks.
 * Without a clear answer the row stands.
 */
void probe_presplit(struct probe *p, struct ghvm_host *host, struct ghvm_rm *rm,
		    const char *state_dir);
