/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Job objects: what takes longer than a method call. Thread: main.
 *
 * A start is systemd's job of the unit, a stop ends with the VM's state, a commit with the
 * VM's transaction. Jobs that are
 * over are kept for a while, so that who asked can read the result.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

struct jobs;

int jobs_new(struct bus *b, struct jobs **ret);
/* Accepts NULL. */
void jobs_free(struct jobs *j);

/*
 * As methods: reply with the job's path, now or later; return as sd-bus methods do. The sender
 * may do it, and is of @uid.
 */
int job_start(struct jobs *j, struct vm *vm, uid_t uid, sd_bus_message *m, sd_bus_error *error);
int job_stop(struct jobs *j, struct vm *vm, enum ghvm_link_how how, uid_t uid, sd_bus_message *m,
	     sd_bus_error *error);

/* The VM has an open transaction; jobs_on_commit() ends it. */
int job_commit(struct jobs *j, struct vm *vm, unsigned int ms, uid_t uid, sd_bus_message *m,
	       sd_bus_error *error);

/* Sets @error if that user's starts, commits and open transactions are many already; not root's. */
int jobs_check_quota(struct jobs *j, uid_t uid, sd_bus_error *error);

/* @err: NULL: it was done. */
void jobs_on_commit(struct jobs *j, const struct vm *vm, const struct ghvm_error *err);
void jobs_on_vm_state(struct jobs *j, struct vm *vm);
void jobs_on_vm_removed(struct jobs *j, const struct vm *vm);
