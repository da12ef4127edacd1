/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Run one VM from its start to the exit status of its unit.
 */
#pragma once

#include "daemon/runner/fds.h"
#include "daemon/runner/guest.h"
#include "ghvm/error.h"

/* Exit statuses, decision 19. */
#define RUNNER_EXIT_OK 0
#define RUNNER_EXIT_FAILED 1
#define RUNNER_EXIT_RESTART 133
#define RUNNER_EXIT_STOP 134

#define RUNNER_ORPHAN_MS 15000 /* without a manager and a running guest, decision 26 */
#define RUNNER_QUIET_MS 60000  /* without an exit, before a vCPU is reported */
#define RUNNER_HALT_MS 500     /* with all vCPUs off, before they are checked, abi K.8 */

/**
 * struct runner_config - configuration of a runner
 * @name: of the VM, from the unit
 * @fds: taken over
 * @open_host: ghvm_host_from_fd(); tests have their own
 * @orphan_ms: RUNNER_ORPHAN_MS; @halt_ms: RUNNER_HALT_MS;
 * @quiet_ms: RUNNER_QUIET_MS
 */
struct runner_config {
	const char *name;
	struct fds *fds;
	guest_open_host open_host;
	unsigned int orphan_ms;
	unsigned int halt_ms;
	unsigned int quiet_ms;
};

/* Block the signals that runner_run() reads. Call it before threads are created. */
void runner_block_signals(void);

/**
 * runner_run() - run the VM to its end
 *
 * Thread: main. Return: an exit status; a failure has been logged.
 */
int runner_run(const struct runner_config *config);
