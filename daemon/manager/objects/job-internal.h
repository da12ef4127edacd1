/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of job objects, for bus-job*.c only. Thread: main.
 */
#pragma once

#include "daemon/manager/objects/job.h"

enum job_kind { JOB_START, JOB_STOP, JOB_COMMIT };

/**
 * struct job - a job
 * @how: how to stop, of a stop
 * @vm: NULL: the VM no longer exists
 * @uid: user who requested the job
 * @claim: on the quota of that user, while the job runs
 * @result: "" while it runs; static
 * @error: why it failed
 * @by_unit: the job ends with systemd's job, not with the VM's state
 * @unit_job: path of systemd's job, owned
 * @request: method call to reply to, until systemd has replied
 * @again: timer to check the unit while systemd tries a failed start again
 */
struct job {
	struct jobs *jobs;
	struct job *next;
	uint32_t id;
	enum job_kind kind;
	enum ghvm_link_how how;
	struct vm *vm;
	char vm_name[GHVM_NAME_SIZE];
	uid_t uid;
	struct quota_claim claim;
	const char *result;
	struct ghvm_error error;
	bool by_unit;
	char *unit_job;
	sd_bus_message *request;
	struct loop_watch again;
	sd_bus_slot *slot;
};

/**
 * struct jobs - all jobs, oldest first
 * @match: for JobRemoved, while some are by units
 */
struct jobs {
	struct bus *bus;
	struct job *first;
	uint32_t last_id;
	sd_bus_slot *match;
};

bool job_runs(const struct job *job);
/* In the list, but not on the bus until job_publish(). */
int job_new(struct jobs *j, enum job_kind kind, struct vm *vm, uid_t uid, struct job **ret);
/* Make the job visible on the bus, then reply with its path. */
int job_publish(struct job *job, sd_bus_message *m);
void job_finish(struct job *job, const char *result, const struct ghvm_error *err);
void job_free(struct job *job);

/* As job_stop(), for a VM that does not run, but its unit may be between two tries. */
int job_stop_unit(struct jobs *j, struct vm *vm, enum ghvm_link_how how, uid_t uid,
		  sd_bus_message *m, sd_bus_error *error);
/* Tell systemd not to try the start again, before the manager cancels it. */
void job_stop_start(struct jobs *j, const struct vm *vm);
/* Listen to systemd no longer than some job needs it. */
void job_unlisten(struct jobs *j);
