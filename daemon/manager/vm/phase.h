/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The phases of a VM's life, and the table of what may happen in each.
 *
 *     STOPPED -begin-> GIVING -given-> [BUILDING] -> BUILT -ready-> START_DUE -> [STARTING] -> RUNNING
 *
 *     GIVING -wait-> PEER_DUE -given-> [BUILDING]
 *     RUNNING -commit-> [COMMITTING] -> RUNNING
 *     RUNNING -reboot-> PAUSING -pause over-> [REBUILDING] -> REBUILT -ready-> RESTART_DUE
 *             -> [RESTARTING] -> RUNNING
 *     [STARTING] -again-> REFUSED -> [BUILDING], on the memory that there is
 *     any with a guest -doom-> DOOMED -> [TEARDOWN] -> STOPPED or FAILED
 *
 * In a phase in brackets an operation runs, on a thread of its own. A doom that comes then waits in
 * LEAVING until that operation has ended. FAILED is STOPPED after a failure.
 *
 * A pair of phase and event that is not in the table is refused and changes nothing. The guest
 * leaves the VM only at the end of an operation that has undone it: build, start and rebuild undo
 * themselves when they fail (but for AGAIN), and the teardown. Pure: no VM, no thread, no time.
 */
#pragma once

#include <stdbool.h>

/* What clients of the bus see: a row of vm_phase_state(). */
enum vm_state {
	VM_STOPPED,
	VM_STARTING,
	VM_RUNNING,
	VM_STOPPING,
	VM_REBOOTING,
	VM_FAILED, /* stopped, by an error; may start again */
};

enum vm_phase {
	VM_PHASE_STOPPED,
	VM_PHASE_FAILED,
	VM_PHASE_GIVING, /* the helper gives memory and files */
	VM_PHASE_PEER_DUE, /* all is given; the VM that has the same regions is being built, or ends */
	VM_PHASE_BUILDING,    /* operation */
	VM_PHASE_BUILT,	      /* the runner has yet to say READY */
	VM_PHASE_START_DUE,   /* it did */
	VM_PHASE_STARTING,    /* operation */
	VM_PHASE_REFUSED,     /* that start has failed and undone nothing; another build is due */
	VM_PHASE_RUNNING,     /* or has ended, and that has not been looked at yet */
	VM_PHASE_COMMITTING,  /* operation: its memory changes */
	VM_PHASE_PAUSING,     /* before a reboot in place */
	VM_PHASE_REBUILDING,  /* operation */
	VM_PHASE_REBUILT,     /* the runner has yet to say READY again */
	VM_PHASE_RESTART_DUE, /* it did */
	VM_PHASE_RESTARTING,  /* operation */
	VM_PHASE_LEAVING,     /* doomed; an operation of another phase has yet to end */
	VM_PHASE_DOOMED,      /* the teardown is due */
	VM_PHASE_TEARDOWN,    /* operation */
	VM_PHASE_COUNT_,
};

enum vm_event {
	VM_EVENT_BEGIN,	 /* a start: there is a guest */
	VM_EVENT_WAIT,	 /* all is given, and the build must wait for another VM */
	VM_EVENT_GIVEN,	 /* all that the build needs */
	VM_EVENT_DONE,	 /* the operation has worked */
	VM_EVENT_FAILED, /* it has failed and undone the guest; of a teardown: it ends a failure */
	VM_EVENT_READY,	 /* the runner */
	VM_EVENT_TRY,	 /* something has changed: begin the operation that is due */
	VM_EVENT_COMMIT, /* of a transaction */
	VM_EVENT_REBOOT, /* the guest has ended, and another one is to follow in place */
	VM_EVENT_PAUSE_OVER, /* of a reboot */
	VM_EVENT_DOOM,	     /* the guest is to be torn down, whatever it is doing */
	VM_EVENT_ADOPT,	     /* an earlier manager has left a guest; its runner is dialled */
	VM_EVENT_ADOPT_LOST, /* such a guest that cannot be carried on */
	VM_EVENT_AGAIN,	     /* the operation has failed in a way that another build avoids */
	VM_EVENT_CANCEL,     /* the failure was a stop, as is only known now */
	VM_EVENT_COUNT_,
};

/* The operation that a transition begins. */
enum vm_operation {
	VM_OPERATION_NONE,
	VM_OPERATION_BUILD,
	VM_OPERATION_START,
	VM_OPERATION_COMMIT,
	VM_OPERATION_REBUILD,
	VM_OPERATION_TEARDOWN,
	VM_OPERATION_COUNT_,
};

/**
 * struct vm_transition - a row of the table
 */
struct vm_transition {
	enum vm_phase phase;
	enum vm_event event;
	enum vm_phase next;
	enum vm_operation operation;
};

/* NULL: @event is refused in @phase. */
const struct vm_transition *vm_transition_of(enum vm_phase phase, enum vm_event event);

enum vm_state vm_phase_state(enum vm_phase phase);
/* There is no guest. */
bool vm_phase_vacant(enum vm_phase phase);
/* Its guest is to be torn down. */
bool vm_phase_doomed(enum vm_phase phase);
/* An operation runs. */
bool vm_phase_busy(enum vm_phase phase);

/**
 * struct vm_life - where a VM is
 * @begin: begin an operation. 0; negative errno: it does not run
 * @on_phase: after @phase has changed; may step again
 */
struct vm_life {
	enum vm_phase phase;
	void *data;
	int (*begin)(void *data, enum vm_operation operation);
	void (*on_phase)(void *data);
};

/**
 * vm_life_step() - something has happened
 *
 * Return: 0; -EPROTO refused; what @begin returned. The phase is as before if it is negative.
 */
int vm_life_step(struct vm_life *life, enum vm_event event);
