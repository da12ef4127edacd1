/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM in the manager: its state, its current operation, and the objects that wait for it.
 *
 * It outlives its guests: stopped, it is a name with a descriptor. What may happen when is a
 * table, phase.c: an event that does not fit the phase is refused, so events may come in any
 * order. After each event vm_settle() begins what is due. Thread: main.
 */
#pragma once

#include "daemon/manager/vm/runner-link.h"
#include "daemon/manager/instance/instance.h"
#include "daemon/manager/instance/transient.h"
#include "daemon/manager/core/loop.h"
#include "daemon/manager/core/op.h"
#include "daemon/manager/vm/phase.h"
#include "daemon/manager/vm/region-memory.h"
#include "daemon/manager/vm/reboots.h"
#include "daemon/manager/vm/transaction.h"
#include "ghvm/error.h"
#include "daemon/ipc/protocol.h"
#include "libghvm/rm/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;

/**
 * struct vm_calls - callbacks to the manager
 * @on_changed: a property has changed
 * @on_state: the state has changed
 * @on_remains: the memory of @g could not be returned; @g is taken over
 * @find: the VM @name, or NULL
 * @load: read the descriptor of @name, as ghvm_spec_load()
 */
struct vm_calls {
	void (*on_changed)(void *data, struct vm *vm);
	void (*on_state)(void *data, struct vm *vm, enum vm_state before);
	void (*on_remains)(void *data, struct vm *vm, struct guest *g,
			   const struct ghvm_error *err);
	struct vm *(*find)(void *data, const char *name);
	int (*load)(void *data, const char *name, struct ghvm_spec *ret, struct ghvm_error *err);
};

/**
 * struct vm_env - shared by all VMs of a manager; borrowed
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
 * struct vm_builder - the session of the start helper that has the VM built
 * @on_built: the VM is READY; @fds: borrowed, for the unit's store
 * @on_failed: the start was undone. One of the two is called, once
 */
struct vm_builder {
	void *data;
	void (*on_built)(void *data, struct ghvm_vmid vmid, const struct guest_fd *fds,
			 size_t n_fds);
	void (*on_failed)(void *data, const struct ghvm_error *err);
};

/**
 * struct vm_waiter - an object that waits until a VM has neither guest nor operation; embedded
 * @on_vacant: called once, after it was removed; may begin a start
 */
struct vm_waiter {
	struct vm_waiter *next;
	struct vm *vm;
	void *data;
	void (*on_vacant)(void *data);
};

/* The descriptor on disk compared with the one that the guest was started with, for the bus. */
#define VM_DESCRIPTOR_CURRENT "current" /* the same settings */
#define VM_DESCRIPTOR_CHANGED "changed"
#define VM_DESCRIPTOR_INVALID "invalid" /* it has errors, or cannot be read */
#define VM_DESCRIPTOR_MISSING "missing"
#define VM_DESCRIPTOR_TRANSIENT "transient" /* it came with the call that runs the VM */

#define VM_QUESTIONS_MAX 8

/**
 * struct vm_question - a client that waits for an answer of the runner
 * @flags: of enum ghvm_link_console, for a console
 * @on_console: once; @fd is borrowed; -errno: there is none, -EBUSY another has it,
 *     -EPROTOTYPE the runner is of an earlier version
 * @on_devices: once; @n devices, borrowed; or -errno: -ETIMEDOUT no answer
 */
struct vm_question {
	uint32_t serial;
	uint8_t flags;
	void *data;
	void (*on_console)(void *data, int fd);
	void (*on_devices)(void *data, const struct ghvm_link_device *v, int n);
};

/**
 * struct vm_questions - all of one kind
 * @asked: serial of the last question to the runner; @answered: of its last answer
 */
struct vm_questions {
	struct vm_question v[VM_QUESTIONS_MAX];
	uint32_t asked;
	uint32_t answered;
};

/**
 * struct vm - see above
 * @described: there is a descriptor of that name
 * @transient: owned; its descriptor and files, if it is transient; NULL: it is not
 * @changing: its definition is being written or removed: no start may begin
 * @life: what it is doing; @state: the same in fewer words, for the bus
 * @reason: ExitReason, static text, "" never ended
 * @last_error: of the last failure, also when a later start has worked; @failed_step: where: a step
 *     of the plan, or "host", "descriptor", "prepare" (memory and files), "run", "teardown"; or NULL
 * @failed_at: when, microseconds of CLOCK_REALTIME; @failed_now: it was of this guest, or start
 * @crash_message: what its last guest has left with RM before its end; "" nothing
 * @descriptor: VM_DESCRIPTOR_*, of its guest
 * @lent, @shared: pages of its guest
 * @quarantined: pages of this name that could not be given back
 * @consoles, @devices: questions to the runner
 * @asked: a stop was asked for; @told: the runner was told @told_how
 * @forced: its runner gave the guest no chance, or no more
 * @final, @final_reason: of one that is doomed: what it is after the teardown
 * @signalled: its runner was told to stop by a signal, or to reboot: its unit may be about to be restarted
 * @over: its runner exits in a way after which its unit is inactive, and not failed
 * @awaits_region_fds: adopted, and its runner has not sent the memory of its regions yet, nor the files of a
 *     transient VM
 * @refusal: what its runner is told when it has sent the files of a transient VM; NULL: it is not refused
 * @pings: of the last ping to the runner; @pongs: of its last answer
 * @hinted: the vCPUs saw the guest's end: @hint; @awaits_hint: RM has told it, and not how it was
 * @reboot_pause: while it is in PAUSING; @peer_pause: until it looks again, in PEER_DUE
 */
struct vm {
	const struct vm_env *env;
	char name[GHVM_NAME_SIZE];
	bool described;
	struct transient *transient;
	bool changing;
	struct vm_life life;
	enum vm_state state;
	const char *reason;
	struct ghvm_error last_error;
	const char *failed_step;
	uint64_t failed_at;
	bool failed_now;
	char crash_message[GHVM_CRASH_MESSAGE_SIZE];
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
	struct vm_questions consoles;
	struct vm_questions devices;

	struct ghvm_vmid vmid;
	uint64_t incarnation;
	unsigned int stop_timeout_ms;
	enum ghvm_on_end on_reboot;
	enum ghvm_on_end on_crash;
	enum ghvm_on_end on_watchdog;
	bool awaits_region_fds;
	const char *refusal;
	uint32_t pings;
	uint32_t pongs;
	bool hinted;
	bool awaits_hint;
	enum ghvm_exit_type hint;

	struct reboots reboots;
	struct loop_watch reboot_pause;
	struct loop_watch peer_pause;

	bool asked;
	bool told;
	enum ghvm_link_how told_how;
	bool forced;
	enum vm_state final;
	const char *final_reason;
	bool signalled;
	bool over;
	struct loop_watch patience; /* of a stop, of a console, of an end that was hinted at */
	struct loop_watch question_patience;
	struct loop_watch hint_patience;
};

const char *vm_state_to_string(enum vm_state s);

int vm_new(const struct vm_env *env, const char *name, struct vm **ret);
/* Waits for a running operation. Guarded pages of a guest stay in the module's quarantine. */
void vm_free(struct vm *vm);

/* Neither guest nor operation. */
bool vm_vacant(const struct vm *vm);
bool vm_has_runner(const struct vm *vm);
/* The guest was adopted and runs, and its runner has not replied yet. */
bool vm_awaits_runner(const struct vm *vm);

/*
 * A runner has yet to send the files of a transient VM, for its next start or a reboot in place. The end of a
 * guest waits for them.
 */
bool vm_awaits_sent(const struct vm *vm);

/* Calls back immediately if the VM is vacant. */
void vm_wait_vacant(struct vm *vm, struct vm_waiter *w);
void vm_unwait(struct vm_waiter *w);

/**
 * vm_begin() - begin a start; the VM must be vacant
 * @spec: taken over on success
 * @builder: borrowed until one of its calls, or vm_abandon()
 */
int vm_begin(struct vm *vm, struct ghvm_spec *spec, const struct vm_builder *builder,
	     struct ghvm_error *err);
/* Record that a start was refused: @err, in @step. Ignored if the VM is not vacant. */
void vm_refused(struct vm *vm, const char *step, const struct ghvm_error *err);
/* Build the machine; all needed files have been provided. It may have to wait for another VM. */
int vm_build(struct vm *vm, struct ghvm_error *err);
/* The builder has gone; none of its callbacks is called any more. */
void vm_abandon(struct vm *vm, const struct ghvm_error *why);

/* Tear the guest down, because its unit has ended. @wanted: on request, not by a failure */
void vm_release(struct vm *vm, bool wanted);

/* Stop the guest; a repeated request is ignored. Return: 0; -ESRCH there is nothing to stop. */
int vm_stop(struct vm *vm, enum ghvm_link_how how);

/* Each calls back later. Return: 0; -ESRCH no runner; -EBUSY too many clients wait. */
int vm_open_console(struct vm *vm, const struct vm_question *q);
int vm_ask_devices(struct vm *vm, const struct vm_question *q);

/* Handle a notification of RM. Return: true if it belongs to this VM. */
bool vm_on_notify(struct vm *vm, const struct ghvm_rm_notification *n);

/**
 * vm_adopt() - adopt a guest of an earlier manager (decision 17, 23, 26)
 * @g: taken over
 * @status: RUNNING: connect to the runner, and tear the guest down if it does not reply; EXITED: ask the
 *     runner how the guest ended; in other states the guest is torn down
 */
void vm_adopt(struct vm *vm, struct guest *g, enum ghvm_vm_status status);

/**
 * vm_dismiss() - dismiss a runner without a guest
 *
 * An earlier manager may have died in the middle of a reboot, when the guest had no memory. The runner
 * would wait forever for a manager to connect. The VM must be vacant. A transient VM is kept, and the runner's
 * unit starts it anew.
 */
void vm_dismiss(struct vm *vm);

/* Compare the descriptor on disk again; the files may have changed. */
void vm_judge_descriptor(struct vm *vm, const char *const *dirs);
/* For DescriptorState: VM_DESCRIPTOR_*, or "" without a guest. */
const char *vm_descriptor(const struct vm *vm);

/* For SubState: the current step, or "". */
const char *vm_substate(const struct vm *vm);
