/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs of the manager: what takes longer than a call, until it is over.
 */
#pragma once

#include "daemon/ctl/wait.h"

#include "libghvm/error.h"

#include <systemd/sd-bus.h>

/* Says by wait_for() what it is waited for now; called whenever the manager has news. */
typedef void (*job_tell)(void *data, sd_bus *bus, struct wait *w);

/**
 * job_follow() - wait until a job is over
 * @path: of its object
 *
 * Return: 0 done; -ECANCELED; -EREMOTEIO it failed, the text is the manager's; -EHOSTDOWN the
 * manager has gone, or hangs; another errno.
 */
int job_follow(sd_bus *bus, const char *path, job_tell tell, void *data, struct ghvm_error *err);
