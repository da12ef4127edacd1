/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The published hypervisor returns no error here that passes: only those of a capability that is gone or of the
 * wrong kind (abi B.5). Another version may say RETRY or BUSY.
 */
#include "daemon/runner/base/bell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include <systemd/sd-daemon.h>

#include "ghvm/vcpu.h"

#define TRIES 4	       /* at once, on the thread that raises the edge: a vCPU's must go on */
#define TOLD_AFTER 100 /* tries of the main thread: a second */

static bool may_pass(int r)
{
	return r == -EAGAIN || r == -EINTR;
}

static int try_to_ring(const struct bell *bell)
{
	int r = -EAGAIN;

	for (unsigned int i = 0; may_pass(r) && i < TRIES; i++)
		r = ghvm_doorbell_ring(bell->host, bell->cap);
	return r;
}

/* Once for each VM: the guest controls how often it happens. */
static void warn_once(struct bell *bell, int r, const char *advice)
{
	if (!atomic_exchange(&bell->told, true))
		fprintf(stderr, SD_WARNING "Device %s: cannot raise its interrupt: %s. %s\n",
			bell->device, r == -EREMOTEIO ? "the hypervisor refuses" : strerror(-r),
			advice);
}

/* -ESTALE: the VM has ended, and nothing waits for the edge. */
static void drop_edge(struct bell *bell, int r)
{
	if (r != -ESTALE)
		warn_once(bell, r,
			  "The guest may wait for it for ever: stop the VM and start it again");
}

void bell_ring(struct bell *bell)
{
	int r;

	if (!bell->host || bell->cap.id == GHVM_CAPID_NONE)
		return;
	r = try_to_ring(bell);
	if (r == 0)
		return;
	if (!may_pass(r))
		drop_edge(bell, r);
	else if (!atomic_exchange(&bell->owed, true) && bell->wake >= 0)
		(void)eventfd_write(bell->wake, 1); /* fails only if it is readable anyway */
}

void bell_again(struct bell *bell)
{
	int r;

	if (!atomic_exchange(&bell->owed, false) || !bell->host)
		return;
	r = try_to_ring(bell);
	if (may_pass(r)) {
		atomic_store(&bell->owed, true);
		if (++bell->failed == TOLD_AFTER)
			warn_once(bell, r, "Trying again until it succeeds");
		return;
	}
	bell->failed = 0;
	if (r < 0)
		drop_edge(bell, r);
}
