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
 * @quirks: a copy of the row, with what the options of the manager replace
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

enum presplit_option {
	PRESPLIT_AUTO, /* as the row says */
	PRESPLIT_ON,
	PRESPLIT_OFF,
};

/* After probe_identify(): replace the row's answer whether a LEND needs a SHARE before it. */
void probe_set_presplit(struct probe *p, enum presplit_option option);
