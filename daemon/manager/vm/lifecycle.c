/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a guest: the operations on it, and how it ends.
 *
 * vm_settle() is where it is decided what comes next.
 */
#include "daemon/manager/vm/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/manager/state/file.h"
#include "daemon/manager/state/mark.h"
#include "daemon/manager/instance/exit-policy.h"
#include "daemon/manager/vm/pair.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/machine/pair.h"

#define HINT_AGAIN_MS 100
#define PEER_AGAIN_MS 20

static const struct op_calls build_op, start_op, teardown_op, rebuild_op;

/* --- the end --- */

int vm_begin_operation(void *data, enum vm_operation operation)
{
	static const struct op_calls *const operations[] = {
		[VM_OPERATION_BUILD] = &build_op,	[VM_OPERATION_START] = &start_op,
		[VM_OPERATION_COMMIT] = &vm_commit_op,	[VM_OPERATION_REBUILD] = &rebuild_op,
		[VM_OPERATION_TEARDOWN] = &teardown_op,
	};
	struct vm *vm = data;
	struct log_about a = vm_about(vm);
	int r = op_start(&vm->op, operations[operation], vm);

	if (r < 0)
		log_error(&a, r, "Cannot start a thread");
	return r;
}

/* Free the guest, or pass it to the quarantine if its memory could not be returned. */
static void dispose(struct vm *vm, const struct ghvm_error *err)
{
	struct guest *g = TAKE_PTR(vm->guest);
	struct ghvm_machine *m = guest_machine(g);

	store_remove(vm->env->state_dir, vm->name);
	control_unlisten(vm->env->control_dir, vm->name);
	if (m && ghvm_machine_undo_failed(m)) /* even if only the VMID is left */
		vm->env->calls->on_remains(vm->env->data, vm, g, err);
	else
		guest_free(g);
	vm_look(vm);
	vm->hinted = vm->awaits_hint = false;
	vm->asked = vm->forced = vm->told = false;
	loop_timer_disarm(&vm->patience);
	loop_timer_disarm(&vm->reboot_pause);
	vm_fail_questions(vm, -ESRCH);
	if (vm->refusal) /* the connection ends with the runner */
		return;
	loop_timer_disarm(&vm->hint_patience);
	vm->awaits_region_fds = false;
	control_done(&vm->control);
}

/* What the guest that has just ended has left with RM, or nothing. No operation runs. */
static void hear_crash_message(struct vm *vm)
{
	struct ghvm_machine *m = guest_machine(vm->guest);
	struct log_about a = vm_about(vm);

	vm->crash_message[0] = '\0';
	if (m && ghvm_machine_take_crash_message(m, vm->crash_message))
		log_warning(&a, 0, "The guest left a message: %s", vm->crash_message);
}

static void fail_builder(struct vm *vm, const struct ghvm_error *err)
{
	const struct vm_builder *b = TAKE_PTR(vm->builder);

	if (b)
		b->on_failed(b->data, err);
}

/* An operation has, which the table has a row for in every phase where one runs. */
static void ended(struct vm *vm, enum vm_event event)
{
	int r = vm_step(vm, event);

	assert(r == 0);
	(void)r;
}

/* A start or a rebuild has failed and was undone. */
static void fail(struct vm *vm, const struct ghvm_error *err)
{
	struct log_about a = vm_about_event(vm, LOG_ID_START_FAILED);

	vm_set_error(vm, err);
	a.step = vm->failed_step;
	a.err = err;
	log_error(&a, 0, "Cannot start: %s", err->msg);
	control_refused(&vm->control, err->msg);
	vm->reason = "start-failed";
	if (vm->state == VM_REBOOTING)
		hear_crash_message(vm);
	dispose(vm, err);
	ended(vm, VM_EVENT_FAILED);
	fail_builder(vm, err);
	vm_settle(vm);
}

void vm_doom(struct vm *vm, enum vm_state final, const char *reason)
{
	if (!vm_alive(vm))
		return;
	vm->final = final;
	vm->final_reason = reason;
	(void)vm_step(vm, VM_EVENT_DOOM); /* legal for each that is alive */
}

static struct verdict judge(const struct vm *vm, enum ghvm_exit_type type)
{
	const struct verdict_input in = {
		.type = type,
		.asked = vm->asked,
		.on_reboot = vm_is_paired(vm) ? GHVM_ON_END_STOP : vm->on_reboot,
		.on_crash = vm->on_crash,
		.on_watchdog = vm->on_watchdog,
		.can_rebuild = control_connected(&vm->control) && guest_can_rebuild(vm->guest),
	};

	return verdict_of(&in);
}

static void log_end(const struct vm *vm, const struct verdict *v, enum ghvm_exit_type type)
{
	struct log_about a = vm_about_event(vm, v->crashed ? LOG_ID_CRASHED : LOG_ID_STOPPED);

	if (v->looped)
		log_error(&a, 0, "Guest reboots repeatedly and is not started again");
	else if (v->crashed)
		log_error(&a, 0, "Guest crashed: %s", ghvm_exit_type_to_string(type));
	else
		log_info(&a, "Guest ended: %s", ghvm_exit_type_to_string(type));
	if (v->action == GHVM_LINK_EXIT_RESTART && !v->crashed && vm->guest->no_rebuild.code < 0)
		log_info(&a, "Restarting the unit, because the guest cannot reboot in place: %s",
			 vm->guest->no_rebuild.msg);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void reboot(struct vm *vm, uint64_t pause)
{
	struct log_about a = vm_about(vm);

	vm->told = false;
	(void)vm_step(vm, VM_EVENT_REBOOT); /* it runs: vm_end() */
	if (pause && loop_timer_arm(&vm->reboot_pause, pause) == 0) {
		log_info(&a,
			 "Guest reboots in %llu ms: it has rebooted %u times in a row within %u s "
			 "of its start",
			 (unsigned long long)pause, vm->reboots.hasty, REBOOTS_HASTY_MS / 1000);
		return;
	}
	vm_on_reboot_pause(vm);
}

/* The pause before a reboot is over. The machine is unchanged since the end of the guest. */
void vm_on_reboot_pause(void *data)
{
	struct vm *vm = data;

	if (vm->life.phase != VM_PHASE_PAUSING || vm_step(vm, VM_EVENT_PAUSE_OVER) == 0)
		return;
	vm_doom(vm, VM_FAILED, "start-failed");
	vm_settle(vm);
}

static void set_crash(struct vm *vm, const struct verdict *v, enum ghvm_exit_type type)
{
	struct ghvm_error err = {};

	if (v->looped)
		(void)ghvm_error_set(&err, -ECONNABORTED,
				     "the guest has rebooted %u times in a row within %u s of its "
				     "start: it is not started again",
				     vm->reboots.hasty, REBOOTS_HASTY_MS / 1000);
	else
		(void)ghvm_error_set(&err, -ECONNABORTED, "the guest crashed: %s",
				     ghvm_exit_type_to_string(type));
	vm_set_error(vm, &err);
}

/* The guest, which runs as far as its phase goes, is over. */
void vm_end(struct vm *vm, enum ghvm_exit_type type)
{
	struct verdict v = judge(vm, type);
	int pause = v.action == GHVM_LINK_WAIT ? reboots_again(&vm->reboots, now_ms()) : 0;

	if (pause < 0)
		v = verdict_of_loop();
	loop_timer_disarm(&vm->hint_patience);
	vm->hinted = false;
	log_end(vm, &v, type);
	vm->reason = v.reason;
	vm_end_runner(vm, type, v.action);
	vm_transaction_over(vm);
	if (v.action == GHVM_LINK_WAIT) {
		reboot(vm, (uint64_t)pause);
		return;
	}
	if (v.crashed)
		set_crash(vm, &v, type);
	vm_doom(vm, v.crashed ? VM_FAILED : VM_STOPPED, v.reason);
}

bool vm_guest_ended(const struct vm *vm, enum ghvm_exit_type *ret)
{
	const struct ghvm_machine *m = vm->guest ? guest_machine(vm->guest) : NULL;
	enum ghvm_exit_type type;

	if (vm->life.phase != VM_PHASE_RUNNING || !m || ghvm_machine_exited(m, &type) != 1 ||
	    vm_awaits_sent(vm))
		return false;
	if (type == GHVM_EXIT_UNKNOWN && vm->hinted)
		type = vm->hint;
	if (type == GHVM_EXIT_UNKNOWN && vm->awaits_hint)
		return false;
	*ret = type;
	return true;
}

/* All is given: build, or look again later. */
static void build_when_possible(struct vm *vm)
{
	struct ghvm_error err = {};
	int r = vm_pair_prepare(vm, &err);

	if (r < 0) {
		vm_set_error(vm, &err);
		vm_doom(vm, VM_FAILED, "start-failed");
	} else if (r == 0 || vm_step(vm, VM_EVENT_GIVEN) < 0) {
		(void)loop_timer_arm(&vm->peer_pause,
				     PEER_AGAIN_MS); /* failure: at the next event */
	}
}

void vm_settle(struct vm *vm)
{
	enum ghvm_exit_type type;

	if (vm->life.phase == VM_PHASE_PEER_DUE)
		build_when_possible(vm);

	if (vm_guest_ended(vm, &type))
		vm_end(vm, type);
	if (vm->life.phase == VM_PHASE_DOOMED)
		vm_transaction_over(vm);
	/* refused if nothing is due; without a thread the next event tries again */
	(void)vm_step(vm, VM_EVENT_TRY);
	if (vm_vacant(vm))
		vm_tell_waiters(vm);
}

void vm_on_patience(void *data)
{
	struct vm *vm = data;

	if (vm_has_runner(vm)) {
		vm_end_runner(vm, GHVM_EXIT_FORCED, GHVM_LINK_EXIT_OK);
		vm_doom(vm, VM_STOPPED, "forced");
	} else {
		vm_doom(vm, VM_FAILED, "orphaned"); /* the runner has not identified itself */
	}
	vm_settle(vm);
}

/*
 * RM has not reported the end, so use the end that the vCPUs have seen (decision 26); or the runner has not
 * sent the files of a transient VM.
 */
void vm_on_hint_patience(void *data)
{
	struct vm *vm = data;
	const bool ended = vm->awaits_hint || vm->hinted;
	enum ghvm_exit_type type;

	if (vm->refusal) {
		vm_refuse_now(vm);
		return;
	}
	if (vm->life.phase == VM_PHASE_COMMITTING) { /* which ends by itself */
		(void)loop_timer_arm(&vm->hint_patience, HINT_AGAIN_MS);
		return;
	}
	vm->awaits_hint = false;
	if (vm->transient)
		vm->awaits_region_fds = false;
	if (vm->life.phase != VM_PHASE_RUNNING)
		return;
	if (!ended) {
		vm_settle(vm);
		return;
	}
	if (vm->hinted)
		vm_end(vm, vm->hint);
	else if (!vm_guest_ended(vm, &type))
		vm_doom(vm, VM_FAILED, "orphaned");
	vm_settle(vm);
}

/* --- operations --- */

static void on_progress(void *data)
{
	vm_changed(data);
}

static int run_build(void *data, struct ghvm_error *err)
{
	struct vm *vm = data;

	return guest_run_build(vm->guest, err);
}

static int remember(struct vm *vm)
{
	struct store_record rec = {
		.vmid = vm->vmid.id,
		.incarnation = vm->incarnation,
		.on_reboot = vm->on_reboot,
		.on_crash = vm->on_crash,
		.stop_timeout_ms = vm->stop_timeout_ms,
		.transient = vm->transient,
		.transient_uid = vm->transient ? vm->transient->uid : 0,
	};

	memcpy(rec.name, vm->name, sizeof(rec.name));
	memcpy(rec.digest, vm->digest, sizeof(rec.digest));
	guest_record(vm->guest, &rec);
	return store_write(vm->env->state_dir, &rec);
}

static void put_fd(struct guest_fd *fds, size_t *n, const char *name, int fd)
{
	(void)snprintf(fds[*n].name, sizeof(fds[*n].name), "%s", name); /* short */
	fds[(*n)++].fd = fd;
}

/* Collect the runner's end of the control socket, its listening socket, and files of the guest. */
static int collect_fds(struct vm *vm, struct guest_fd *fds, size_t *n)
{
	int fd, r;

	r = control_pair(&vm->control, &fd);
	if (r < 0)
		return r;
	put_fd(fds, n, "control", fd);
	fd = control_listen(vm->env->control_dir, vm->name);
	if (fd < 0)
		return fd;
	put_fd(fds, n, "listen", fd);
	return guest_take_fds(vm->guest, fds, n);
}

static int hand_over(struct vm *vm)
{
	const struct vm_builder *b = TAKE_PTR(vm->builder);
	struct guest_fd fds[GUEST_FDS_MAX];
	size_t n = 0;
	int r;

	r = collect_fds(vm, fds, &n);
	if (r < 0)
		vm->builder = b;
	else
		b->on_built(b->data, vm->vmid, fds, n);
	for (size_t i = 0; i < n; i++)
		closep(&fds[i].fd);
	return r;
}

static void built(struct vm *vm)
{
	struct log_about a = vm_about(vm);
	struct ghvm_error err = {};
	int r;

	vm_look(vm);
	r = remember(vm);
	if (r < 0)
		log_warning(&a, r, "Cannot write the state file");
	ended(vm, VM_EVENT_DONE);
	if (!vm_alive(vm))
		return;
	r = hand_over(vm);
	if (r == 0)
		return;
	(void)ghvm_error_set(&err, r, "cannot create the runner's file descriptors: %s",
			     strerror(-r));
	vm_set_error(vm, &err);
	vm_doom(vm, VM_FAILED, "start-failed");
}

static void on_build_done(void *data, int result, const struct ghvm_error *err)
{
	struct vm *vm = data;

	if (result < 0) {
		fail(vm, err);
		return;
	}
	built(vm);
	vm_settle(vm);
}

static const struct op_calls build_op = {
	.run = run_build,
	.on_progress = on_progress,
	.on_done = on_build_done,
};

static int run_start(void *data, struct ghvm_error *err)
{
	struct vm *vm = data;

	return guest_run_start(vm->guest, err);
}

/*
 * RM has refused RAM that is shared: build again with RAM lent. If the guest is to be torn down meanwhile, the
 * teardown takes back what the failed start has left.
 */
static void start_again(struct vm *vm, const struct ghvm_error *err)
{
	if (vm_step(vm, VM_EVENT_AGAIN) < 0) {
		vm_set_error(vm, err);
		ended(vm, VM_EVENT_DONE);
		vm_doom(vm, VM_FAILED, "start-failed");
	}
	vm_settle(vm);
}

/* Once: the file may be removed on purpose, while this guest runs on. */
static void note_loan(const struct vm *vm)
{
	if (vm->guest->refused_now)
		mark_set(vm->env->state_dir, MARK_LENDS_RAM,
			 "the next start that shares RAM is refused once more");
	vm->guest->refused_now = false;
}

static void on_start_done(void *data, int result, const struct ghvm_error *err)
{
	struct vm *vm = data;
	const bool again = vm->state == VM_REBOOTING;
	struct log_about a = vm_about_event(vm, again ? LOG_ID_REBOOTED : LOG_ID_STARTED);

	if (result < 0 && guest_share_refused(vm->guest)) {
		start_again(vm, err);
		return;
	}
	if (result < 0) {
		fail(vm, err);
		return;
	}
	if (vm_alive(vm)) {
		control_started(&vm->control);
		reboots_began(&vm->reboots, now_ms());
		note_loan(vm);
		log_info(&a, "Guest runs");
	}
	ended(vm, VM_EVENT_DONE);
	vm_settle(vm);
}

static const struct op_calls start_op = { .run = run_start, .on_done = on_start_done };

static int run_teardown(void *data, struct ghvm_error *err)
{
	struct vm *vm = data;

	return guest_run_teardown(vm->guest, err);
}

/* Record how many pages could not be returned, for the clients that wait for the stop. */
static void tell_remains(struct vm *vm, const struct ghvm_error *err)
{
	const struct ghvm_machine *m = guest_machine(vm->guest);
	uint64_t pages = m ? ghvm_machine_quarantined(m) : 0;
	struct ghvm_error e = *err;

	if (pages)
		(void)snprintf(e.msg, sizeof(e.msg),
			       "%s, and %llu pages could not be returned and are in quarantine "
			       "(see: ghvmctl quarantine): %.300s",
			       ghvm_machine_may_run(m) ? "the guest may still run"
						       : "the guest has ended",
			       (unsigned long long)pages, err->msg);
	vm_set_error(vm, &e);
}

/* Only regions of another guest, which has not ended, are left: that is no failure of this VM. */
static bool awaits_peer(const struct vm *vm)
{
	const struct ghvm_machine *m = guest_machine(vm->guest);

	return m && ghvm_machine_awaits_peer(m);
}

static void on_teardown_done(void *data, int result, const struct ghvm_error *err)
{
	const struct ghvm_error cancelled = { .code = -ECANCELED, .msg = "the start was stopped" };
	struct vm *vm = data;
	struct log_about a = vm_about(vm);
	enum vm_state final = vm->final;
	bool failed_before = vm->failed_now && final == VM_FAILED;

	vm->reason = vm->final_reason;
	hear_crash_message(vm);
	if (result < 0 && awaits_peer(vm)) {
		log_info(&a, "%s", err->msg);
	} else if (result < 0) {
		a.err = err;
		log_error(&a, 0, "Cannot return all memory: %s", err->msg);
		tell_remains(vm, err);
		final = VM_FAILED;
	}
	dispose(vm, err);
	ended(vm, final == VM_STOPPED ? VM_EVENT_DONE : VM_EVENT_FAILED);
	fail_builder(vm, failed_before ? &vm->last_error : &cancelled);
	vm_changed(vm);
	vm_settle(vm);
}

static const struct op_calls teardown_op = { .run = run_teardown, .on_done = on_teardown_done };

static int run_rebuild(void *data, struct ghvm_error *err)
{
	struct vm *vm = data;

	return guest_run_rebuild(vm->guest, err);
}

static void rebuilt(struct vm *vm)
{
	struct log_about a = vm_about(vm);
	_cleanup_(closep) int info = guest_runinfo(vm->guest);
	int r;

	vm_look(vm);
	r = remember(vm);
	if (r < 0)
		log_warning(&a, r, "Cannot write the state file");
	if (info < 0) {
		log_error(&a, info, "Cannot create the machine description for the runner");
		vm_doom(vm, VM_FAILED, "start-failed");
		return;
	}
	control_rebuilt(&vm->control, info, ghvm_machine_grant(guest_machine(vm->guest)));
}

static void on_rebuild_done(void *data, int result, const struct ghvm_error *err)
{
	struct vm *vm = data;

	if (result < 0) {
		fail(vm, err);
		return;
	}
	hear_crash_message(vm);
	ended(vm, VM_EVENT_DONE);
	if (vm_alive(vm))
		rebuilt(vm);
	vm_settle(vm);
}

static const struct op_calls rebuild_op = {
	.run = run_rebuild,
	.on_progress = on_progress,
	.on_done = on_rebuild_done,
};
