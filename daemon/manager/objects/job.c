/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.gunyah.vmm1.Job.
 */
#include "daemon/manager/objects/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/objects/job-internal.h"
#include "daemon/manager/bus/property.h"
#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/core/log.h"
#include "libghvm/base/cleanup.h"

#define INTERFACE BUS_NAME ".Job"
#define JOBS_KEPT 64 /* ended jobs of a user */

bool job_runs(const struct job *job)
{
	return !*job->result;
}

/* Paths contain numbers, which need no encoding, as those of systemd's jobs. */
static char *path_of(const struct job *job)
{
	char *path = NULL;

	return asprintf(&path, "%s/%" PRIu32, BUS_JOB_PREFIX, job->id) < 0 ? NULL : path;
}

/* --- properties --- */

static const char *error_name(const struct job *job)
{
	if (!job->error.code)
		return "";
	return job->kind == JOB_COMMIT ? failure_name_of_region(&job->error)
				       : failure_name(&job->error);
}

static const char *kind_of(const struct job *job)
{
	static const char *const kinds[] = { "start", "stop", "commit" };

	return kinds[job->kind];
}

#define TEXT(id, value) PROPERTY_GETTER(id, const struct job *job, text, value)
#define NUMBER(id, value) PROPERTY_GETTER(id, const struct job *job, number, value)

NUMBER(id, job->id)
TEXT(kind, kind_of(job))
TEXT(state, job_runs(job) ? "running" : "done")
TEXT(result, job->result)
TEXT(error, job->error.msg)
TEXT(error_name, error_name(job))

static int get_vm(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct job *job = userdata;
	_cleanup_(freep) char *vm = NULL;
	int r = sd_bus_path_encode(BUS_VM_PREFIX, job->vm_name, &vm);

	return r < 0 ? r : sd_bus_message_append(reply, "o", vm);
}

PROPERTY_TABLE(INTERFACE, BUS_JOB_PROPERTIES)

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	BUS_JOB_PROPERTIES(PROPERTY_VTABLE, PROPERTY_VTABLE_OTHER) SD_BUS_VTABLE_END,
};

/* --- life cycle --- */

void job_free(struct job *job)
{
	struct job **at = &job->jobs->first;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	quota_release(&job->claim);
	(void)sd_bus_slot_unref(job->slot);
	loop_watch_done(&job->again);
	(void)sd_bus_message_unref(job->request);
	free(job->unit_job);
	free(job);
}

/* If this user has JOBS_KEPT ended jobs, remove the oldest, first from the bus. */
static void forget_old(struct jobs *j, uid_t uid)
{
	struct job *oldest = NULL;
	unsigned int over = 0;
	char *path;

	for (struct job *job = j->first; job; job = job->next) {
		if (job_runs(job) || job->uid != uid)
			continue;
		if (!oldest)
			oldest = job;
		over++;
	}
	if (over <= JOBS_KEPT)
		return;
	path = path_of(oldest);
	if (!path || sd_bus_emit_object_removed(j->bus->conn, path) < 0)
		log_warning(NULL, 0, "Cannot announce the end of a job on the bus");
	free(path);
	job_free(oldest);
}

void job_finish(struct job *job, const char *result, const struct ghvm_error *err)
{
	struct jobs *j = job->jobs;
	char *path = path_of(job);

	job->result = result;
	quota_release(&job->claim);
	if (err)
		job->error = *err;
	if (!path || property_tell_all(j->bus->conn, path, &table) < 0)
		log_warning(NULL, 0, "Cannot announce the end of a job on the bus");
	free(path);
	job_unlisten(j);
	forget_old(j, job->uid);
	bus_defer(j->bus);
}

int job_new(struct jobs *j, enum job_kind kind, struct vm *vm, uid_t uid, struct job **ret)
{
	struct job *job = calloc(1, sizeof(*job)), **end = &j->first;

	if (!job)
		return -ENOMEM;
	while (*end)
		end = &(*end)->next;
	job->jobs = j;
	job->uid = uid;
	job->id = ++j->last_id;
	job->kind = kind;
	job->vm = vm;
	memcpy(job->vm_name, vm->name, sizeof(job->vm_name));
	job->result = "";
	if (kind != JOB_STOP) /* a slow guest must not block other starts */
		quota_claim(&j->bus->quota, uid, &job->claim);
	*end = job;
	*ret = job;
	return 0;
}

static int reply_path(const struct job *job, sd_bus_message *m)
{
	_cleanup_(freep) char *path = path_of(job);

	return path ? sd_bus_reply_method_return(m, "o", path) : -ENOMEM;
}

/* Make the job visible on the bus, then reply with its path. */
int job_publish(struct job *job, sd_bus_message *m)
{
	_cleanup_(freep) char *path = path_of(job);
	int r;

	if (!path)
		return -ENOMEM;
	r = sd_bus_emit_object_added(job->jobs->bus->conn, path);
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", path);
}

/* --- stops --- */

static struct job *equal_stop(const struct jobs *j, const struct vm *vm, enum ghvm_link_how how)
{
	struct job *job = j->first;

	while (job && (job->vm != vm || job->kind != JOB_STOP || job->how != how || !job_runs(job)))
		job = job->next;
	return job;
}

/* Equal stops share a job. A VM has at most two, so stops need no quota. */
int job_stop(struct jobs *j, struct vm *vm, enum ghvm_link_how how, uid_t uid, sd_bus_message *m,
	     sd_bus_error *error)
{
	struct job *job = equal_stop(j, vm, how);
	int r;

	if (job && job->request)
		return sd_bus_error_setf(error, FAILURE_BUSY, "systemd is already stopping %s",
					 vm->name);
	if (job)
		return reply_path(job, m);
	if (vm_vacant(vm))
		return job_stop_unit(j, vm, how, uid, m, error);
	r = job_new(j, JOB_STOP, vm, uid, &job);
	if (r < 0)
		return r;
	job->how = how;
	if (!vm_has_runner(vm))
		job_stop_start(j, vm); /* systemd must not try the cancelled start again */
	r = vm_stop(vm, how);
	if (r < 0 && r != -ESRCH) { /* -ESRCH: it is already being torn down */
		job_free(job);
		return r;
	}
	r = job_publish(job, m);
	if (r < 0)
		job_free(job);
	return r < 0 ? r : 1;
}

bool jobs_busy(const struct jobs *j, const struct vm *vm)
{
	for (const struct job *job = j->first; job; job = job->next)
		if (job->vm == vm && job_runs(job))
			return true;
	return false;
}

void jobs_on_vm_state(struct jobs *j, struct vm *vm)
{
	struct ghvm_error none = {};
	struct job *next;

	if (vm->state != VM_STOPPED && vm->state != VM_FAILED)
		return;
	(void)ghvm_error_set(&none, -ESRCH, "the guest has ended: %s", vm->reason);
	for (struct job *job = j->first; job; job = next) {
		next = job->next;
		if (job->vm != vm || job->kind != JOB_STOP || job->by_unit || !job_runs(job))
			continue;
		if (vm->state == VM_STOPPED)
			job_finish(job, "done", NULL);
		else
			job_finish(job, "failed", vm->failed_now ? &vm->last_error : &none);
	}
}

void jobs_on_vm_removed(struct jobs *j, const struct vm *vm)
{
	for (struct job *job = j->first; job; job = job->next)
		if (job->vm == vm)
			job->vm = NULL;
}

/* --- commits --- */

int job_commit(struct jobs *j, struct vm *vm, unsigned int ms, uid_t uid, sd_bus_message *m,
	       sd_bus_error *error)
{
	struct ghvm_error err = {};
	struct job *job;
	int r;

	r = job_new(j, JOB_COMMIT, vm, uid, &job);
	if (r < 0)
		return r;
	if (vm_transaction_commit(vm, ms, &err) < 0) {
		job_free(job);
		return bus_fail(error, &err);
	}
	r = job_publish(job, m);
	if (r < 0)
		job_free(job);
	return r < 0 ? r : 1;
}

void jobs_on_commit(struct jobs *j, const struct vm *vm, const struct ghvm_error *err)
{
	for (struct job *job = j->first; job; job = job->next) {
		if (job->vm != vm || job->kind != JOB_COMMIT || !job_runs(job))
			continue;
		job_finish(job, err ? "failed" : "done", err);
		return;
	}
}

/* --- objects --- */

/* A job is visible once systemd has replied. */
static bool visible(const struct job *job)
{
	return !job->request;
}

static int find_job(sd_bus *bus, const char *path, const char *interface, void *userdata,
		    void **ret_found, sd_bus_error *error)
{
	const char *number = path + strlen(BUS_JOB_PREFIX);
	struct jobs *j = userdata;
	char text[16];

	for (struct job *job = j->first; job; job = job->next) {
		(void)snprintf(text, sizeof(text), "/%" PRIu32, job->id); /* fits */
		if (!visible(job) || strcmp(number, text))
			continue;
		*ret_found = job;
		return 1;
	}
	return 0;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *error)
{
	struct jobs *j = userdata;
	size_t n = 0;
	char **nodes;

	for (const struct job *job = j->first; job; job = job->next)
		n++;
	nodes = calloc(n + 1, sizeof(*nodes));
	n = 0;
	if (!nodes)
		return -ENOMEM;
	for (struct job *job = j->first; job; job = job->next) {
		if (!visible(job))
			continue;
		nodes[n] = path_of(job);
		if (nodes[n++])
			continue;
		while (n-- > 0)
			free(nodes[n]);
		free(nodes);
		return -ENOMEM;
	}
	*ret_nodes = nodes;
	return 1;
}

int jobs_new(struct bus *b, struct jobs **ret)
{
	struct jobs *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->bus = b;
	*ret = j;
	r = sd_bus_add_fallback_vtable(b->conn, NULL, BUS_JOB_PREFIX, INTERFACE, vtable, find_job,
				       j);
	return r < 0 ? r : sd_bus_add_node_enumerator(b->conn, NULL, BUS_JOB_PREFIX, enumerate, j);
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	while (j->first)
		job_free(j->first);
	(void)sd_bus_slot_unref(j->match);
	free(j);
}
