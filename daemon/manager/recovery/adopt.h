/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an earlier manager has left, found in the module's quarantine and in RM
 * (decision 13, 22, 23, 28). Before the loop runs; blocks with RM's deadlines.
 */
#pragma once

#include "daemon/manager/instance/instance.h"
#include "daemon/manager/recovery/quarantine.h"

#include <stdbool.h>
#include <stddef.h>

/**
 * struct adopt_target - where things go; borrowed
 * @settled: no VMID has been left that no tag names (settled.h)
 */
struct adopt_target {
	const struct guest_host *host;
	struct quarantine *quarantine;
	const char *state_dir;
	bool settled;
};

/**
 * struct adopt_found - a guest with a name
 * @guest: owned
 * @recorded: the state file of its name is of this life
 * @status: where it stands; if RUNNING its machine carries on
 */
struct adopt_found {
	struct guest *guest;
	bool recorded;
	enum ghvm_vm_status status;
};

/**
 * adopt_all() - adopt all orphans
 * @ret: free(), and its guests, owned by the caller; also set on failure. Of several of one
 *     name the first is what the name means now; the others are remains of earlier lives
 *
 * Pages without a readable tag, and all if RM is dead, are only counted. VMIDs that
 * nobody has are given back, unless it is known that there are none.
 */
int adopt_all(const struct adopt_target *t, struct adopt_found **ret, size_t *ret_n);

/* A guest that has no place: for quarantine_retry(), once the loop reads what RM says. */
void adopt_undo(const struct adopt_target *t, struct guest *g);
