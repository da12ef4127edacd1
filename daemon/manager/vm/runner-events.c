/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the runner, and its exit.
 */
#include "daemon/manager/vm/internal.h"

#include <errno.h>

#include "daemon/manager/instance/exit-policy.h"

#define HINT_PATIENCE_MS 1000 /* for RM to report an end that the vCPUs have seen */

static void on_runner_hello(void *data, struct ghvm_vmid vmid, uint64_t incarnation)
{
	struct vm *vm = data;

	if (!vm_alive(vm))
		return; /* it was refused */
	if (vmid.id != vm->vmid.id || incarnation != vm->incarnation) {
		control_refused(&vm->control, "runner of another virtual machine");
		vm_doom(vm, VM_FAILED, "runner-died");
		vm_settle(vm);
		return;
	}
	loop_timer_disarm(&vm->patience);
	vm_forget_questions(vm);
	/* adopted: the earlier manager may have died before it sent STARTED */
	if (vm->state == VM_RUNNING)
		control_started(&vm->control);
	vm_region_memory_ask(vm);
	vm_changed(vm);
}

static void on_runner_ready(void *data)
{
	struct vm *vm = data;

	(void)vm_step(vm, VM_EVENT_READY); /* from a runner that was not asked: it means nothing */
	vm_settle(vm);
}

static void on_runner_exited(void *data, uint64_t state, uint64_t data0)
{
	struct vm *vm = data;

	if (vm->state != VM_RUNNING || !verdict_guess(state, &vm->hint))
		return;
	vm->hinted = true;
	if (vm->awaits_hint && !vm_awaits_sent(vm))
		vm_on_hint_patience(vm);
	else
		(void)loop_timer_arm(&vm->hint_patience,
				     HINT_PATIENCE_MS); /* on failure wait for RM */
}

static void on_runner_stopping(void *data, enum ghvm_link_how how)
{
	struct vm *vm = data;

	vm->asked = how != GHVM_LINK_REBOOT;
	vm->signalled |=
		how != GHVM_LINK_FORCE; /* that is its own end of a stop that was asked for */
	vm->forced = how == GHVM_LINK_FORCE;
	vm_changed(vm);
}

void vm_end_runner(struct vm *vm, enum ghvm_exit_type type, enum ghvm_link_action action)
{
	vm->over = control_connected(&vm->control) && !vm->signalled && action == GHVM_LINK_EXIT_OK;
	control_ended(&vm->control, type, action);
}

static void on_runner_gone(void *data, const char *why)
{
	struct vm *vm = data;
	struct log_about a = vm_about_event(vm, LOG_ID_RUNNER_DIED);
	struct ghvm_error err = {};
	enum ghvm_exit_type type;

	vm_fail_questions(vm, -ESRCH);
	vm->refusal = NULL;
	if (!vm_alive(vm)) {
		vm->awaits_region_fds = false;
		return;
	}
	if (vm_guest_ended(vm, &type)) {
		vm_end(vm, type);
	} else if (vm->asked) {
		vm->over = !vm->signalled;
		vm_doom(vm, VM_STOPPED, vm->forced ? "forced" : "stopped");
	} else {
		(void)ghvm_error_set(&err, -ECONNRESET, "%s", why);
		vm_set_error(vm, &err);
		log_error(&a, 0, "Lost the guest: %s", why);
		vm_doom(vm, VM_FAILED, "runner-died");
	}
	vm_settle(vm);
}

const struct control_calls vm_runner_calls = {
	.on_hello = on_runner_hello,
	.on_ready = on_runner_ready,
	.on_exited = on_runner_exited,
	.on_stopping = on_runner_stopping,
	.on_console = vm_on_console,
	.on_devices = vm_on_devices,
	.on_region_fd = vm_on_region_fd,
	.on_sent_fd = vm_on_sent_fd,
	.on_pong = vm_on_pong,
	.on_gone = on_runner_gone,
};
