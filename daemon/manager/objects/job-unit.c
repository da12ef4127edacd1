/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs that follow a systemd job: starts, and stops of units without a running VM.
 *
 * The manager subscribes to systemd only while there are such jobs, because systemd reports every job
 * of the system.
 */
#include "daemon/manager/objects/job-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/core/log.h"
#include "libghvm/base/cleanup.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER SYSTEMD ".Manager"
#define UNIT_SIZE 64
#define AGAIN_MS 300

static void unit_of(const char *vm, char ret[UNIT_SIZE])
{
	(void)snprintf(ret, UNIT_SIZE, "gunyah-vm@%s.service", vm); /* fits */
}

void job_unlisten(struct jobs *j)
{
	for (struct job *job = j->first; job; job = job->next)
		if (job_runs(job) && job->by_unit)
			return;
	j->match = sd_bus_slot_unref(j->match);
}

/* --- end of a start --- */

static void fail_job(struct job *job, const char *result)
{
	struct ghvm_error err = {};

	if (job->kind == JOB_START && job->vm && job->vm->failed_now)
		err = job->vm->last_error;
	else
		(void)ghvm_error_set(&err, strcmp(result, "canceled") ? -EIO : -ECANCELED,
				     "unit gunyah-vm@%s.service: %s", job->vm_name, result);
	job_finish(job, strcmp(result, "canceled") ? "failed" : "cancelled", &err);
}

bool job_unit_will_run(const char *active)
{
	return !strcmp(active, "activating") || !strcmp(active, "active") ||
	       !strcmp(active, "reloading") || !strcmp(active, "deactivating");
}

int job_ask_unit(struct bus *b, const char *vm, sd_bus_slot **slot, sd_bus_message_handler_t fn,
		 void *data)
{
	_cleanup_(freep) char *path = NULL;
	char unit[UNIT_SIZE];
	int r;

	unit_of(vm, unit);
	r = sd_bus_path_encode(SYSTEMD_PATH "/unit", unit, &path);
	if (r < 0)
		return r;
	return sd_bus_call_method_async(b->conn, slot, SYSTEMD, path,
					"org.freedesktop.DBus.Properties", "Get", fn, data, "ss",
					SYSTEMD ".Unit", "ActiveState");
}

void job_forget_unit(struct bus *b, const char *vm)
{
	char unit[UNIT_SIZE];

	unit_of(vm, unit);
	(void)sd_bus_call_method_async(b->conn, NULL, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER,
				       "ResetFailedUnit", NULL, NULL, "s", unit);
}

static int ask_for_state(struct job *job, sd_bus_message_handler_t fn)
{
	job->slot = sd_bus_slot_unref(job->slot);
	return job_ask_unit(job->jobs->bus, job->vm_name, &job->slot, fn, job);
}

/* v s: ActiveState after a failed try. The next try of systemd has a job with an unknown path. */
static int on_state_after(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct job *job = userdata;
	const char *active;

	if (sd_bus_message_is_method_error(m, NULL) ||
	    sd_bus_message_read(m, "v", "s", &active) < 0)
		fail_job(job, "failed");
	else if (!strcmp(active, "active"))
		job_finish(job, "done", NULL);
	else if (!job_unit_will_run(active)) /* systemd will not try again */
		fail_job(job, strcmp(active, "inactive") ? "failed" : "canceled");
	else if (loop_timer_arm(&job->again, AGAIN_MS) < 0)
		fail_job(job, "failed");
	return 1;
}

static void look_again(void *data)
{
	struct job *job = data;

	if (ask_for_state(job, on_state_after) < 0)
		fail_job(job, "failed");
	bus_kick(job->jobs->bus);
}

/* A start ends when systemd does not try again. */
static void try_failed(struct job *job)
{
	struct jobs *j = job->jobs;

	free(job->unit_job);
	job->unit_job = NULL;
	if (loop_watch_timer(j->bus->loop, &job->again, look_again, job) < 0 ||
	    ask_for_state(job, on_state_after) < 0)
		fail_job(job, "failed");
}

/* JobRemoved(u id, o job, s unit, s result) */
static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct jobs *j = userdata;
	const char *path, *unit, *result;
	struct job *next;
	uint32_t id;

	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	for (struct job *job = j->first; job; job = next) {
		next = job->next;
		if (!job_runs(job) || !job->unit_job || strcmp(job->unit_job, path))
			continue;
		if (!strcmp(result, "done"))
			job_finish(job, "done", NULL);
		else if (job->kind == JOB_START && !strcmp(result, "failed"))
			try_failed(job);
		else
			fail_job(job, result);
	}
	return 0;
}

static int listen_to_systemd(struct jobs *j)
{
	int r;

	if (j->match)
		return 0;
	r = sd_bus_match_signal_async(j->bus->conn, &j->match, SYSTEMD, SYSTEMD_PATH,
				      SYSTEMD_MANAGER, "JobRemoved", on_job_removed, NULL, j);
	if (r < 0)
		return r;
	/* the manager may be subscribed already, so errors are ignored */
	return sd_bus_call_method_async(j->bus->conn, NULL, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER,
					"Subscribe", NULL, NULL, NULL);
}

static bool is_denied(const sd_bus_error *e)
{
	return sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) ||
	       sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);
}

/* The job was not published: reply with an error and free it. */
static int refuse_job(struct job *job, sd_bus_message *answer)
{
	const sd_bus_error *e = sd_bus_message_get_error(answer);
	const char *verb = job->kind == JOB_START ? "start" : "stop";
	int r;

	if (is_denied(e))
		r = sd_bus_reply_method_errorf(job->request, FAILURE_NOT_AUTHORIZED,
					       "systemd does not allow the manager to %s "
					       "gunyah-vm@%s.service: is the polkit rule "
					       "installed? systemctl %s uses your own rights",
					       verb, job->vm_name, verb);
	else
		r = sd_bus_reply_method_error(job->request, e);
	job->result = "failed";
	job_unlisten(job->jobs);
	job_free(job);
	return r;
}

static int on_unit_queued(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct job *job = userdata;
	sd_bus_message *request;
	const char *path;
	int r;

	if (sd_bus_message_is_method_error(m, NULL))
		return refuse_job(job, m);
	r = sd_bus_message_read(m, "o", &path);
	if (r >= 0 && !(job->unit_job = strdup(path)))
		r = -ENOMEM;
	request = TAKE_PTR(job->request);
	if (r >= 0)
		r = job_publish(job, request);
	if (r < 0) {
		(void)sd_bus_reply_method_errno(request, r, NULL); /* failure: caller times out */
		job_free(job);
	}
	(void)sd_bus_message_unref(request);
	return 1;
}

/* Call @method of systemd for the unit of @job. */
static int queue_unit_job(struct job *job, const char *method, const char *mode)
{
	char unit[UNIT_SIZE];

	unit_of(job->vm_name, unit);
	job->slot = sd_bus_slot_unref(job->slot);
	return sd_bus_call_method_async(job->jobs->bus->conn, &job->slot, SYSTEMD, SYSTEMD_PATH,
					SYSTEMD_MANAGER, method, on_unit_queued, job, "ss", unit,
					mode);
}

static int new_job(struct jobs *j, enum job_kind kind, struct vm *vm, uid_t uid, struct job **ret)
{
	int r = job_new(j, kind, vm, uid, ret);

	if (r < 0)
		return r;
	(*ret)->by_unit = true;
	r = listen_to_systemd(j);
	if (r < 0)
		job_free(*ret);
	return r;
}

/*
 * Start the unit of a VM that does not run. The unit may still be active for a moment, until systemd has
 * reaped the runner. A start of an active unit is "done" immediately, so it is restarted instead.
 */
int job_start(struct jobs *j, struct vm *vm, uid_t uid, sd_bus_message *m, sd_bus_error *error)
{
	struct job *job;
	int r;

	r = new_job(j, JOB_START, vm, uid, &job);
	if (r < 0)
		return r;
	r = queue_unit_job(job, "RestartUnit", "fail");
	if (r < 0) {
		job_free(job);
		return r;
	}
	job->request = sd_bus_message_ref(m);
	return 1;
}

/* --- stops --- */

static int refuse_stop(struct job *job)
{
	int r = sd_bus_reply_method_errorf(
		job->request, FAILURE_BAD_STATE, "%s is %s", job->vm_name,
		job->vm ? vm_state_to_string(job->vm->state) : "not there");

	job->result = "failed";
	job_unlisten(job->jobs);
	job_free(job);
	return r;
}

/* v s: ActiveState */
static int on_unit_state(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct job *job = userdata;
	const char *active;

	if (sd_bus_message_is_method_error(m, NULL) ||
	    sd_bus_message_read(m, "v", "s", &active) < 0 || !job_unit_will_run(active))
		return refuse_stop(job);
	return queue_unit_job(job, "StopUnit", "replace") < 0 ? refuse_stop(job) : 1;
}

int job_stop_unit(struct jobs *j, struct vm *vm, enum ghvm_link_how how, uid_t uid,
		  sd_bus_message *m, sd_bus_error *error)
{
	struct job *job;
	int r;

	r = new_job(j, JOB_STOP, vm, uid, &job);
	if (r < 0)
		return r;
	job->how = how;
	r = ask_for_state(job, on_unit_state);
	if (r < 0) {
		job_free(job);
		return r;
	}
	job->request = sd_bus_message_ref(m);
	return 1;
}

/* The reply is ignored: without systemd the start is not tried again anyway. */
void job_stop_start(struct jobs *j, const struct vm *vm)
{
	const struct log_about a = { .vm = vm->name };
	char unit[UNIT_SIZE];
	int r;

	unit_of(vm->name, unit);
	r = sd_bus_call_method_async(j->bus->conn, NULL, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER,
				     "StopUnit", NULL, NULL, "ss", unit, "replace");
	if (r < 0)
		log_warning(&a, r, "Cannot tell systemd that the start has ended");
}
