/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VM as the manager knows it: its state, who works on it, who waits for it.
 *
 * It outlives its guests: stopped, it is a name with a descriptor. What has to happen next
 * is decided in one place, vm_settle(), whenever something has changed and no operation
 * runs; so events may come in any order. Thread: main.
 */
#pragma once

#include "daemon/manager/vm/runner-link.h"
#include "daemon/manager/instance/instance.h"
#include "daemon/manager/core/loop.h"
#include "daemon/manager/core/op.h"
#include "daemon/manager/vm/reboots.h"
#include "daemon/manager/vm/transaction.h"
#include "ghvm/error.h"
#include "daemon/ipc/protocol.h"
#include "libghvm/rm/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vm_state {
	VM_STOPPED,
	VM_STARTING,
	VM_RUNNING,
	VM_STOPPING,
	VM_REBOOTING,
	VM_FAILED, /* stopped, by an error; may start again */
};

struct vm;

/**
 * struct vm_calls - what a VM tells the manager, which gave it them
 * @on_changed: some property did
 * @on_state: the state did
 * @on_remains: @g could not be given back; taken over
 */
struct vm_calls {
	void (*on_changed)(void *data, struct vm *vm);
	void (*on_state)(void *data, struct vm *vm, enum vm_state before);
	void (*on_remains)(void *data, struct vm *vm, struct guest *g,
			   const struct ghvm_error *err);
};

/**
 * struct vm_env - what all VMs of a manager share; borrowed
 * @state_dir: of state files; @control_dir: of runners' listeners
 */
struct vm_env {
	struct loop *loop;
	const struct guest_host *host;
	const struct vm_calls *calls;
	void *data;
	const char *state_dir;
	const char *control_dir;
};

/**
 * struct vm_builder - who builds: a helper's session
 * @on_built: the VM is READY; @fds are borrowed, for the unit's store
 * @on_failed: it was undone; either of the two comes once
 */
struct vm_builder {
	void *data;
	void (*on_built)(void *data, struct ghvm_vmid vmid, const struct guest_fd *fds,
			 size_t n_fds);
	void (*on_failed)(void *data, const struct ghvm_error *err);
};

/**
 * struct vm_waiter - who waits until a VM has neither guest nor operation; embedded
 * @on_vacant: called once, after it was removed; may begin a start
 */
struct vm_waiter {
	struct vm_waiter *next;
	struct vm *vm;
	void *data;
	void (*on_vacant)(void *data);
};

/* What has become of the descriptor that a guest was started by, for the bus. */
#define VM_DESCRIPTOR_CURRENT "current" /* it says the same, in whatever words */
#define VM_DESCRIPTOR_CHANGED "changed"
#define VM_DESCRIPTOR_INVALID "invalid" /* it has mistakes, or cannot be read */
#define VM_DESCRIPTOR_MISSING "missing"

#define VM_CONSOLES_MAX 8

/**
 * struct vm_console - who waits for a console
 * @flags: of enum ghvm_link_console
 * @on_console: once; @fd is borrowed; -errno: there is none, -EBUSY another has it,
 *     -EPROTOTYPE the runner is of an earlier version
 */
struct vm_console {
	uint32_t serial;
	uint8_t flags;
	void *data;
	void (*on_console)(void *data, int fd);
};

/**
 * struct vm - see above
 * @described: there is a descriptor of that name
 * @reason: ExitReason, static text, "" never ended
 * @last_error: of the last failure, also when a later start has worked; @failed_step: where: a step
 *     of the plan, or "host", "descriptor", "prepare" (memory and files), "run", "teardown"; or NULL
 * @failed_at: when, microseconds of CLOCK_REALTIME; @failed_now: it was of this guest, or start
 * @descriptor: VM_DESCRIPTOR_*, of its guest
 * @lent, @shared: pages of its guest
 * @quarantined: pages of this name that nobody could give back
 * @console_serial: of the last question to the runner; @console_answered: of its last answer
 * @pausing: it reboots in place after @reboot_pause, and until then nothing is done
 * @asked: a stop was asked for; @told: the runner was told @told_how
 * @forced: its runner gave the guest no chance, or no more
 * @doomed: the guest is to be torn down; @final and @final_reason are what it then is
 */
struct vm {
	const struct vm_env *env;
	char name[GHVM_NAME_SIZE];
	bool described;
	enum vm_state state;
	const char *reason;
	struct ghvm_error last_error;
	const char *failed_step;
	uint64_t failed_at;
	bool failed_now;
	const char *descriptor;
	uint64_t lent;
	uint64_t shared;
	uint64_t quarantined;
	char digest[17];

	struct guest *guest;
	struct op op;
	struct vm_transaction transaction;
	struct control control;
	const struct vm_builder *builder;
	struct vm_waiter *waiters;
	struct vm_console consoles[VM_CONSOLES_MAX];
	uint32_t console_serial;
	uint32_t console_answered;

	struct ghvm_vmid vmid;
	uint64_t incarnation;
	unsigned int stop_timeout_ms;
	enum ghvm_on_end on_reboot;
	enum ghvm_on_end on_crash;
	bool built;
	bool ready;
	bool hinted;
	bool awaits_hint;
	enum ghvm_exit_type hint;

	struct reboots reboots;
	bool pausing;
	struct loop_watch reboot_pause;

	bool asked;
	bool told;
	enum ghvm_link_how told_how;
	bool forced;
	bool doomed;
	enum vm_state final;
	const char *final_reason;
	struct loop_watch patience; /* of a stop, of a console, of an end that was hinted at */
	struct loop_watch console_patience;
	struct loop_watch hint_patience;
};

const char *vm_state_to_string(enum vm_state s);

int vm_new(const struct vm_env *env, const char *name, struct vm **ret);
/* Waits for an operation that runs. A guest's guarded pages go to the quarantine. */
void vm_free(struct vm *vm);

/* Neither guest nor operation. */
bool vm_vacant(const struct vm *vm);
bool vm_has_runner(const struct vm *vm);
/* Its guest was adopted and runs; its runner was dialled and has not answered yet. */
bool vm_awaits_runner(const struct vm *vm);

/* Calls back at once if it is vacant. */
void vm_wait_vacant(struct vm *vm, struct vm_waiter *w);
void vm_unwait(struct vm_waiter *w);

/**
 * vm_begin() - a start; the VM is vacant
 * @spec: taken over on success
 * @builder: borrowed until one of its calls, or vm_abandon()
 */
int vm_begin(struct vm *vm, struct ghvm_spec *spec, const struct vm_builder *builder,
	     struct ghvm_error *err);
/* Nothing could begin, @err says why, @step what it was for. What runs is not concerned. */
void vm_refused(struct vm *vm, const char *step, const struct ghvm_error *err);
/* Everything was given: build. */
int vm_build(struct vm *vm, struct ghvm_error *err);
/* The builder is gone, @why says how; nothing is called any more. */
void vm_abandon(struct vm *vm, const struct ghvm_error *why);

/* Undo whatever there is of a guest, since its unit is over; @wanted: by a stop, not a failure. */
void vm_release(struct vm *vm, bool wanted);

/* As Stop() on the bus; asking again changes nothing. -ESRCH there is nothing to stop. */
int vm_stop(struct vm *vm, enum ghvm_link_how how);

/* -ESRCH no runner; -EBUSY too many wait, or were never answered. Calls back later. */
int vm_open_console(struct vm *vm, const struct vm_console *c);

/* A notification of RM. True if it was of this VM. */
bool vm_on_notify(struct vm *vm, const struct ghvm_rm_notification *n);

/**
 * vm_adopt() - a guest that an earlier manager has left (decision 17, 23, 26)
 * @g: taken over
 * @status: RUNNING: its runner is dialled, and the guest is lost if that does not say hello;
 *     EXITED: the runner is asked how; anything else is undone
 */
void vm_adopt(struct vm *vm, struct guest *g, enum ghvm_vm_status status);

/**
 * vm_dismiss() - a runner whose guest an earlier manager had taken back, and no guest
 *
 * It may have died in the middle of a reboot, when nothing was the guest's. Without a word
 * the runner would wait for a manager that never comes to it. The VM is vacant.
 */
void vm_dismiss(struct vm *vm);

/* The files may have changed: look what its guest's descriptor says now. */
void vm_judge_descriptor(struct vm *vm, const char *const *dirs);
/* For DescriptorState: VM_DESCRIPTOR_*, or "" without a guest. */
const char *vm_descriptor(const struct vm *vm);

/* For SubState: the step of a build, what else goes on, or "". */
const char *vm_substate(const struct vm *vm);
