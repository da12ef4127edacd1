/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VM: its state, and the requests to it.
 */
#include "daemon/manager/vm/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/manager/state/mark.h"
#include "daemon/manager/vm/pair.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/spec/digest.h"

#define FORCE_PATIENCE_MS 3000 /* for a runner that was told to drop its guest */
#define STOP_GRACE_MS 5000     /* beyond the stop time-out that the runner applies */

const char *vm_state_to_string(enum vm_state s)
{
	static const char *const names[] = {
		[VM_STOPPED] = "stopped",   [VM_STARTING] = "starting",	  [VM_RUNNING] = "running",
		[VM_STOPPING] = "stopping", [VM_REBOOTING] = "rebooting", [VM_FAILED] = "failed",
	};

	return names[s];
}

struct log_about vm_about(const struct vm *vm)
{
	return (struct log_about){ .vm = vm->name, .vmid = vm->vmid.id };
}

struct log_about vm_about_event(const struct vm *vm, const char *id)
{
	return (struct log_about){ .vm = vm->name, .vmid = vm->vmid.id, .id = id };
}

void vm_changed(struct vm *vm)
{
	vm->env->calls->on_changed(vm->env->data, vm);
}

static void on_phase(void *data)
{
	struct vm *vm = data;
	const enum vm_state before = vm->state;

	vm->state = vm_phase_state(vm->life.phase);
	if (vm->state != before)
		vm->env->calls->on_state(vm->env->data, vm, before);
	vm_changed(vm);
}

int vm_step(struct vm *vm, enum vm_event event)
{
	return vm_life_step(&vm->life, event);
}

static const char *step_of(const struct vm *vm)
{
	int step = vm->guest ? atomic_load(&vm->guest->step) : -1;

	switch (vm->state) {
	case VM_RUNNING:
		return "run";
	case VM_STOPPING:
		return "teardown";
	case VM_STARTING:
	case VM_REBOOTING:
		return step < 0 ? "prepare" : ghvm_step_to_string((enum ghvm_step_kind)step);
	default:
		return NULL;
	}
}

static void note_failure(struct vm *vm, const char *step, const struct ghvm_error *err)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	vm->last_error = *err;
	vm->failed_step = step;
	vm->failed_at = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	vm->failed_now = true;
	vm_changed(vm);
}

void vm_set_error(struct vm *vm, const struct ghvm_error *err)
{
	note_failure(vm, step_of(vm), err);
}

void vm_refused(struct vm *vm, const char *step, const struct ghvm_error *err)
{
	if (vm_vacant(vm))
		note_failure(vm, step, err);
}

/* Update the figures that may be read while an operation runs. No operation may run. */
void vm_look(struct vm *vm)
{
	const struct ghvm_machine *m = vm->guest ? guest_machine(vm->guest) : NULL;

	vm->vmid = m ? ghvm_machine_vmid(m) : (struct ghvm_vmid){ 0 };
	vm->incarnation = vm->guest ? vm->guest->incarnation : 0;
	vm->lent = m ? ghvm_machine_pages_lent(m) : 0;
	vm->shared = m ? ghvm_machine_pages_shared(m) : 0;
	vm_region_memory_prune(vm);
	vm_changed(vm);
}

void vm_tell_waiters(struct vm *vm)
{
	struct vm_waiter *w;

	while (vm_vacant(vm) && vm->waiters) {
		w = vm->waiters;
		vm->waiters = w->next;
		w->vm = NULL;
		w->on_vacant(w->data);
	}
}

/* --- requests --- */

bool vm_vacant(const struct vm *vm)
{
	return vm_phase_vacant(vm->life.phase);
}

bool vm_alive(const struct vm *vm)
{
	return !vm_vacant(vm) && !vm_phase_doomed(vm->life.phase);
}

bool vm_has_runner(const struct vm *vm)
{
	return vm->control.pid > 0;
}

bool vm_awaits_runner(const struct vm *vm)
{
	return vm->state == VM_RUNNING && control_connected(&vm->control) && !vm_has_runner(vm);
}

void vm_wait_vacant(struct vm *vm, struct vm_waiter *w)
{
	struct vm_waiter **end = &vm->waiters;

	while (*end)
		end = &(*end)->next;
	w->vm = vm;
	w->next = NULL;
	*end = w;
	vm_tell_waiters(vm);
}

void vm_unwait(struct vm_waiter *w)
{
	struct vm_waiter **at;

	if (!w->vm)
		return;
	for (at = &w->vm->waiters; *at; at = &(*at)->next) {
		if (*at != w)
			continue;
		*at = w->next;
		break;
	}
	w->vm = NULL;
}

static void on_guest_step(void *data)
{
	struct vm *vm = data;

	op_progress(&vm->op); /* Thread: operation */
}

void vm_watch_steps(struct vm *vm)
{
	vm->guest->on_step = on_guest_step;
	vm->guest->data = vm;
}

/* RM has refused shared RAM since the host has booted. */
static void recall_refusal(const struct vm *vm)
{
	const struct log_about a = vm_about(vm);

	vm->guest->lent_instead = mark_is_set(vm->env->state_dir, MARK_LENDS_RAM);
	if (vm->guest->lent_instead && vm->guest->spec.protection == GHVM_PROTECTION_NONE)
		log_info(&a, "The resource manager has refused shared RAM before "
			     "(memory.protection: none): it is lent");
}

int vm_begin(struct vm *vm, struct ghvm_spec *spec, const struct vm_builder *builder,
	     struct ghvm_error *err)
{
	int r;

	if (!vm_vacant(vm))
		return ghvm_error_set(err, -EBUSY, "%s is %s", vm->name,
				      vm_state_to_string(vm->state));
	if (vm->changing)
		return ghvm_error_set(err, -EBUSY, "the definition of %s is being changed",
				      vm->name);
	r = guest_check(vm->env->host, spec, err); /* before memory is populated for it */
	if (r == 0)
		r = vm_pair_check(vm, spec, err);
	if (r < 0)
		return r;
	r = guest_new(vm->env->host, spec, &vm->guest);
	if (r < 0)
		return ghvm_error_set(err, r, "cannot allocate the guest: %s", strerror(-r));
	vm_watch_steps(vm);
	vm->incarnation = vm->guest->incarnation;
	vm->stop_timeout_ms = vm->guest->spec.stop_timeout_ms;
	vm->on_reboot = vm->guest->spec.on_reboot;
	vm->on_crash = vm->guest->spec.on_crash;
	vm->on_watchdog = vm->guest->spec.on_watchdog;
	spec_digest(&vm->guest->spec, vm->digest);
	recall_refusal(vm);
	vm->descriptor = vm->transient ? VM_DESCRIPTOR_TRANSIENT : VM_DESCRIPTOR_CURRENT;
	vm->failed_now = vm->signalled = vm->over = false;
	vm->reason = "";
	vm->reboots = (struct reboots){};
	vm->builder = builder;
	return vm_step(vm, VM_EVENT_BEGIN);
}

int vm_build(struct vm *vm, struct ghvm_error *err)
{
	int r;

	if (vm->life.phase != VM_PHASE_GIVING)
		return ghvm_error_set(err, -EBUSY, "%s is %s", vm->name,
				      vm_state_to_string(vm->state));
	if (!guest_given(vm->guest))
		return ghvm_error_set(err, -EBADMSG,
				      "the start helper has not provided all files and memory");
	r = vm_pair_prepare(vm, err);
	if (r < 0)
		return r;
	r = vm_step(vm, r > 0 ? VM_EVENT_GIVEN : VM_EVENT_WAIT);
	if (r < 0)
		return ghvm_error_set(err, r, "cannot start a thread: %s", strerror(-r));
	vm_settle(vm);
	return 0;
}

void vm_abandon(struct vm *vm, const struct ghvm_error *why)
{
	vm->builder = NULL;
	if (!vm_phase_doomed(vm->life.phase))
		vm_set_error(vm, why);
	vm_doom(vm, VM_FAILED, "start-failed");
	vm_settle(vm);
}

/* The start helper has exited early, and only now it is known that the unit was stopped on request. */
static void was_cancelled(struct vm *vm)
{
	const struct ghvm_error err = {
		.code = -ECANCELED,
		.msg = "the unit was stopped while it started",
	};

	if (!vm->failed_now || vm->last_error.code != -EPIPE)
		return;
	note_failure(vm, vm->failed_step, &err);
	vm->final = VM_STOPPED;
	vm->final_reason = "stopped";
	if (vm->life.phase == VM_PHASE_FAILED) {
		vm->reason = vm->final_reason;
		(void)vm_step(vm, VM_EVENT_CANCEL); /* legal there */
	}
}

void vm_release(struct vm *vm, bool wanted)
{
	const bool stopped = vm->asked || wanted;

	if (wanted)
		was_cancelled(vm);
	if (vm_alive(vm))
		vm_doom(vm, stopped ? VM_STOPPED : VM_FAILED, stopped ? "stopped" : "runner-died");
	vm_settle(vm);
}

int vm_stop(struct vm *vm, enum ghvm_link_how how)
{
	uint64_t patience = FORCE_PATIENCE_MS;

	if (!vm_alive(vm))
		return -ESRCH;
	if (how != GHVM_LINK_REBOOT)
		vm->asked = true;
	else
		vm->signalled = true;
	if (!vm_has_runner(vm)) {
		vm_doom(vm, VM_STOPPED, "stopped");
		vm_settle(vm);
		return 0;
	}
	if (vm->told && (vm->told_how == how || vm->told_how == GHVM_LINK_FORCE))
		return 0; /* already requested; the time limit is running */
	vm->told = true;
	vm->told_how = how;
	vm_changed(vm);
	control_stop(&vm->control, how);
	if (how != GHVM_LINK_FORCE)
		patience = (uint64_t)vm->stop_timeout_ms + STOP_GRACE_MS;
	return how == GHVM_LINK_REBOOT ? 0 : loop_timer_arm(&vm->patience, patience);
}

bool vm_on_notify(struct vm *vm, const struct ghvm_rm_notification *n)
{
	struct ghvm_machine *m = vm->guest ? guest_machine(vm->guest) : NULL;

	if (!m || !ghvm_machine_on_notify(m, n))
		return false;
	vm_changed(vm); /* it may be of a region */
	vm_settle(vm);
	return true;
}

const char *vm_substate(const struct vm *vm)
{
	int step = vm->guest ? atomic_load(&vm->guest->step) : -1;

	if (vm->life.phase == VM_PHASE_PAUSING)
		return "reboot-pause";
	if (vm->life.phase == VM_PHASE_PEER_DUE)
		return "wait-for-peer";
	switch (vm->state) {
	case VM_STARTING:
	case VM_REBOOTING:
		return step < 0 ? "prepare" : ghvm_step_to_string((enum ghvm_step_kind)step);
	case VM_RUNNING:
		return vm->asked ? "power-off" : "";
	case VM_STOPPING:
		return "teardown";
	default:
		return "";
	}
}

/* --- creation --- */

static int init_timers(struct vm *vm)
{
	int r;

	r = loop_watch_timer(vm->env->loop, &vm->patience, vm_on_patience, vm);
	if (r == 0)
		r = loop_watch_timer(vm->env->loop, &vm->question_patience, vm_on_question_patience,
				     vm);
	if (r == 0)
		r = loop_watch_timer(vm->env->loop, &vm->reboot_pause, vm_on_reboot_pause, vm);
	if (r == 0)
		r = loop_watch_timer(vm->env->loop, &vm->peer_pause, vm_on_peer_pause, vm);
	if (r == 0)
		r = loop_watch_timer(vm->env->loop, &vm->hint_patience, vm_on_hint_patience, vm);
	return r;
}

int vm_new(const struct vm_env *env, const char *name, struct vm **ret)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return -ENOMEM;
	vm->env = env;
	vm->reason = "";
	vm->life = (struct vm_life){
		.data = vm,
		.begin = vm_begin_operation,
		.on_phase = on_phase,
	};
	(void)snprintf(vm->name, sizeof(vm->name), "%s", name); /* checked */
	control_init(&vm->control, env->loop, &vm_runner_calls, vm);
	r = op_init(&vm->op, env->loop);
	if (r == 0)
		r = init_timers(vm);
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	*ret = vm;
	return 0;
}

void vm_free(struct vm *vm)
{
	op_done(&vm->op);
	vm_transaction_done(vm);
	vm_fail_questions(vm, -ESRCH);
	control_done(&vm->control);
	loop_watch_done(&vm->patience);
	loop_watch_done(&vm->question_patience);
	loop_watch_done(&vm->hint_patience);
	loop_watch_done(&vm->reboot_pause);
	loop_watch_done(&vm->peer_pause);
	guest_free(vm->guest);
	transient_free(vm->transient);
	free(vm);
}
