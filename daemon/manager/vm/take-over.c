/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Take over a guest of an earlier manager, and connect to its runner.
 */
#include "daemon/manager/vm/internal.h"

#include <errno.h>
#include <string.h>

#include "daemon/manager/state/file.h"
#include "libghvm/base/cleanup.h"

#define DIAL_PATIENCE_MS 2000 /* for the first message of the runner, decision 18 */
#define DEFAULT_STOP_TIMEOUT_MS 30000

/* Without it the VM ends with its guest. */
static void recall_transient(struct vm *vm, const struct store_record *found)
{
	struct log_about a = vm_about(vm);
	int r = transient_recall(found, &vm->transient);

	if (r < 0)
		log_warning(&a, r, "Cannot recall the descriptor of a transient VM");
	else
		vm->descriptor = VM_DESCRIPTOR_TRANSIENT;
}

static void recall(struct vm *vm)
{
	_cleanup_(store_record_done) struct store_record found = {};

	vm->on_reboot = GHVM_ON_END_RESTART;
	vm->on_crash = GHVM_ON_END_STOP;
	vm->on_watchdog = GHVM_ON_END_RESTART;
	vm->stop_timeout_ms = DEFAULT_STOP_TIMEOUT_MS;
	if (store_read(vm->env->state_dir, vm->name, &found) < 0 ||
	    found.incarnation != vm->incarnation)
		return;
	vm->on_reboot = (enum ghvm_on_end)found.on_reboot;
	vm->on_crash = (enum ghvm_on_end)found.on_crash;
	if (found.planned)
		vm->on_watchdog = found.spec.on_watchdog;
	vm->stop_timeout_ms = found.stop_timeout_ms;
	memcpy(vm->digest, found.digest, sizeof(vm->digest));
	if (found.transient)
		recall_transient(vm, &found);
}

/* Both timers run until the runner has identified itself and reported how its guest ended. */
static int meet_runner(struct vm *vm, bool exited)
{
	int r;

	r = control_dial(&vm->control, vm->env->control_dir, vm->name);
	if (r < 0)
		return r;
	vm->awaits_hint = exited;
	vm->awaits_region_fds = true;
	r = loop_timer_arm(exited ? &vm->hint_patience : &vm->patience, DIAL_PATIENCE_MS);
	return r < 0 ? r : vm_step(vm, VM_EVENT_ADOPT);
}

static void refuse_runner(struct vm *vm, const char *why)
{
	if (control_dial(&vm->control, vm->env->control_dir, vm->name) < 0)
		return;
	vm_refuse_runner(vm, why);
}

/* Without a runner that has its files a transient VM cannot start again. */
static void forget_lost(struct vm *vm)
{
	if (!vm_awaits_sent(vm))
		transient_free(TAKE_PTR(vm->transient));
}

static void lose(struct vm *vm)
{
	vm->final = VM_FAILED;
	vm->final_reason = "orphaned";
	(void)vm_step(vm, VM_EVENT_ADOPT_LOST); /* the VM was vacant: it had no guest yet */
}

void vm_adopt(struct vm *vm, struct guest *g, enum ghvm_vm_status status)
{
	struct log_about a;
	int r;

	vm->guest = g;
	vm_watch_steps(vm);
	vm_look(vm);
	recall(vm);
	a = vm_about_event(vm, LOG_ID_ADOPTED);
	if (status == GHVM_VM_RUNNING || status == GHVM_VM_EXITED) {
		r = meet_runner(vm, status == GHVM_VM_EXITED);
		if (r < 0)
			log_warning(&a, r, "The runner does not reply");
	} else {
		refuse_runner(vm, "the manager exited before the guest was started");
		r = -ESTALE;
	}
	if (r < 0) {
		forget_lost(vm);
		lose(vm);
	}
	log_info(&a, "Found a guest of an earlier manager (%s)%s", ghvm_vm_status_to_string(status),
		 vm_alive(vm) ? "" : ", tearing it down");
	vm_settle(vm);
}

void vm_dismiss(struct vm *vm)
{
	_cleanup_(store_record_done) struct store_record found = {};

	if (store_read(vm->env->state_dir, vm->name, &found) == 0 && found.transient)
		recall_transient(vm, &found);
	refuse_runner(vm, "the manager exited before the guest had rebooted");
	forget_lost(vm);
	control_unlisten(vm->env->control_dir, vm->name);
	store_remove(vm->env->state_dir, vm->name);
}
