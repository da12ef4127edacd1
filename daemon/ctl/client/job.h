/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs of the manager: operations that continue after the reply to the method call.
 */
#pragma once

#include "daemon/ctl/client/wait.h"

#include "ghvm/error.h"

#include <systemd/sd-bus.h>

/* Called whenever something may have changed; updates the text of @w with wait_for(). */
typedef void (*job_tell)(void *data, sd_bus *bus, struct wait *w);

/**
 * job_follow() - wait until a job has ended
 * @path: object path of the job
 *
 * Return: 0 done; -ECANCELED; -EREMOTEIO the job failed, with the manager's message; -EHOSTDOWN the
 * manager has exited or hangs; another errno.
 */
int job_follow(sd_bus *bus, const char *path, job_tell tell, void *data, struct ghvm_error *err);
