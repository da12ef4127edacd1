/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Adoption of guests that an earlier manager has left in the module's quarantine and in RM
 * (decision 13, 22, 23, 28). Runs before the loop; blocks with RM's deadlines.
 */
#pragma once

#include "daemon/manager/instance/instance.h"
#include "daemon/manager/recovery/quarantine.h"

#include <stdbool.h>
#include <stddef.h>

/**
 * struct adopt_target - environment of the adoption; borrowed
 * @settled: every VMID in use has a tag (mark.h)
 */
struct adopt_target {
	const struct guest_host *host;
	struct quarantine *quarantine;
	const char *state_dir;
	bool settled;
};

/**
 * struct adopt_found - an adopted guest
 * @guest: owned
 * @recorded: there is a state file of this incarnation
 * @status: state of the VM; if RUNNING, its machine has been taken over
 */
struct adopt_found {
	struct guest *guest;
	bool recorded;
	enum ghvm_vm_status status;
};

/**
 * adopt_all() - adopt all orphans
 * @ret: owned array with owned guests; also set on failure. Of several guests with one name the first is
 *     the current one; the others are remains of earlier incarnations
 *
 * Pages without a readable tag, and all pages if RM is dead, are only counted. VMs without an owner are
 * torn down, unless @settled.
 */
int adopt_all(const struct adopt_target *t, struct adopt_found **ret, size_t *ret_n);

/* Put a guest into the quarantine; it is torn down by quarantine_retry(), once the loop runs. */
void adopt_undo(const struct adopt_target *t, struct guest *g);
