/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Job objects: operations that continue after the method call. Thread: main.
 *
 * A start ends with systemd's job for the unit, a stop with the state of the VM, a commit with the
 * transaction of the VM. Ended jobs are kept for a while, so that clients can read the result.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

struct jobs;

int jobs_new(struct bus *b, struct jobs **ret);
/* Accepts NULL. */
void jobs_free(struct jobs *j);

/*
 * Methods that reply with the path of a job, now or later. Return: as sd-bus methods. The sender has
 * been authorized and belongs to @uid.
 */
int job_start(struct jobs *j, struct vm *vm, uid_t uid, sd_bus_message *m, sd_bus_error *error);
int job_stop(struct jobs *j, struct vm *vm, enum ghvm_link_how how, uid_t uid, sd_bus_message *m,
	     sd_bus_error *error);

/* The VM has an open transaction; jobs_on_commit() ends it. */
int job_commit(struct jobs *j, struct vm *vm, unsigned int ms, uid_t uid, sd_bus_message *m,
	       sd_bus_error *error);

/* @err: NULL: the commit succeeded. */
void jobs_on_commit(struct jobs *j, const struct vm *vm, const struct ghvm_error *err);
/* Does a job of that VM run? */
bool jobs_busy(const struct jobs *j, const struct vm *vm);

/* Have systemd forget the unit of @vm, a name, if it has failed. What systemd answers does not matter. */
void job_forget_unit(struct bus *b, const char *vm);
/*
 * Ask systemd for the ActiveState of the unit of @vm, a name: the reply is "v s". @slot: freed by the caller,
 * after or before the reply
 */
int job_ask_unit(struct bus *b, const char *vm, sd_bus_slot **slot, sd_bus_message_handler_t fn,
		 void *data);
/* Does a unit of that ActiveState run, or will systemd start it? */
bool job_unit_will_run(const char *active);

void jobs_on_vm_state(struct jobs *j, struct vm *vm);
void jobs_on_vm_removed(struct jobs *j, const struct vm *vm);
