/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Find out once, before the loop runs, which resource manager this host has.
 *
 * Blocks with RM's deadlines. Thread: main.
 */
#pragma once

#include "libghvm/hyp/host.h"
#include "libghvm/rm/quirks.h"
#include "libghvm/rm/rpc.h"

/**
 * struct probe - the result
 * @why: why this row was selected; static text
 * @quirks: a copy of the row, with results of tests on this host
 * @facts: by which the row was selected
 */
struct probe {
	const char *why;
	struct ghvm_quirks quirks;
	struct ghvm_quirks_facts facts;
};

/* Begin with the most restrictive row. */
void probe_init(struct probe *p);

/* Query RM. Failures are logged and leave the most restrictive row. */
void probe_identify(struct probe *p, struct ghvm_rm *rm, const struct ghvm_info *info);

/**
 * probe_presplit() - find out whether a LEND unmaps, unless it was found out since the boot
 * @state_dir: where the answer is kept
 *
 * Not done while there is memory in quarantine. Forks. If the result is unclear, the row is unchanged.
 */
void probe_presplit(struct probe *p, struct ghvm_host *host, struct ghvm_rm *rm,
		    const char *state_dir);
