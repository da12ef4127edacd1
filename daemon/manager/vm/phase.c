/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager/vm/phase.h"

#include <errno.h>
#include <stddef.h>

#include "libghvm/base/bits.h"

#define ROW(phase, event, next)                                                                    \
	{                                                                                          \
		VM_PHASE_##phase, VM_EVENT_##event, VM_PHASE_##next, VM_OPERATION_NONE             \
	}
#define OPERATION(phase, event, next, operation)                                                   \
	{                                                                                          \
		VM_PHASE_##phase, VM_EVENT_##event, VM_PHASE_##next, VM_OPERATION_##operation      \
	}

static const struct vm_transition table[] = {
	ROW(STOPPED, BEGIN, GIVING),
	ROW(STOPPED, ADOPT, RUNNING),
	ROW(STOPPED, ADOPT_LOST, DOOMED),

	ROW(FAILED, BEGIN, GIVING),
	ROW(FAILED, ADOPT, RUNNING),
	ROW(FAILED, ADOPT_LOST, DOOMED),
	ROW(FAILED, CANCEL, STOPPED),

	OPERATION(GIVING, GIVEN, BUILDING, BUILD),
	ROW(GIVING, WAIT, PEER_DUE),
	ROW(GIVING, DOOM, DOOMED),

	OPERATION(PEER_DUE, GIVEN, BUILDING, BUILD),
	ROW(PEER_DUE, DOOM, DOOMED),

	ROW(BUILDING, DONE, BUILT),
	ROW(BUILDING, FAILED, FAILED),
	ROW(BUILDING, DOOM, LEAVING),

	ROW(BUILT, READY, START_DUE),
	ROW(BUILT, DOOM, DOOMED),

	OPERATION(START_DUE, TRY, STARTING, START),
	ROW(START_DUE, DOOM, DOOMED),

	ROW(STARTING, DONE, RUNNING),
	ROW(STARTING, FAILED, FAILED),
	ROW(STARTING, AGAIN, REFUSED),
	ROW(STARTING, DOOM, LEAVING),

	OPERATION(REFUSED, TRY, BUILDING, REBUILD),
	ROW(REFUSED, DOOM, DOOMED),

	OPERATION(RUNNING, COMMIT, COMMITTING, COMMIT),
	ROW(RUNNING, REBOOT, PAUSING),
	ROW(RUNNING, DOOM, DOOMED),

	ROW(COMMITTING, DONE, RUNNING),
	ROW(COMMITTING, DOOM, LEAVING),

	OPERATION(PAUSING, PAUSE_OVER, REBUILDING, REBUILD),
	ROW(PAUSING, DOOM, DOOMED),

	ROW(REBUILDING, DONE, REBUILT),
	ROW(REBUILDING, FAILED, FAILED),
	ROW(REBUILDING, DOOM, LEAVING),

	ROW(REBUILT, READY, RESTART_DUE),
	ROW(REBUILT, DOOM, DOOMED),

	OPERATION(RESTART_DUE, TRY, RESTARTING, START),
	ROW(RESTART_DUE, DOOM, DOOMED),

	ROW(RESTARTING, DONE, RUNNING),
	ROW(RESTARTING, FAILED, FAILED),
	ROW(RESTARTING, DOOM, LEAVING),

	ROW(LEAVING, DONE, DOOMED),
	ROW(LEAVING, FAILED, FAILED),

	OPERATION(DOOMED, TRY, TEARDOWN, TEARDOWN),

	ROW(TEARDOWN, DONE, STOPPED),
	ROW(TEARDOWN, FAILED, FAILED),
};

const struct vm_transition *vm_transition_of(enum vm_phase phase, enum vm_event event)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].phase == phase && table[i].event == event)
			return &table[i];
	return NULL;
}

enum vm_state vm_phase_state(enum vm_phase phase)
{
	static const enum vm_state states[] = {
		[VM_PHASE_STOPPED] = VM_STOPPED,       [VM_PHASE_FAILED] = VM_FAILED,
		[VM_PHASE_GIVING] = VM_STARTING,       [VM_PHASE_PEER_DUE] = VM_STARTING,
		[VM_PHASE_BUILDING] = VM_STARTING,     [VM_PHASE_BUILT] = VM_STARTING,
		[VM_PHASE_START_DUE] = VM_STARTING,    [VM_PHASE_STARTING] = VM_STARTING,
		[VM_PHASE_REFUSED] = VM_STARTING,      [VM_PHASE_RUNNING] = VM_RUNNING,
		[VM_PHASE_COMMITTING] = VM_RUNNING,    [VM_PHASE_PAUSING] = VM_REBOOTING,
		[VM_PHASE_REBUILDING] = VM_REBOOTING,  [VM_PHASE_REBUILT] = VM_REBOOTING,
		[VM_PHASE_RESTART_DUE] = VM_REBOOTING, [VM_PHASE_RESTARTING] = VM_REBOOTING,
		[VM_PHASE_LEAVING] = VM_STOPPING,      [VM_PHASE_DOOMED] = VM_STOPPING,
		[VM_PHASE_TEARDOWN] = VM_STOPPING,
	};

	return states[phase];
}

bool vm_phase_vacant(enum vm_phase phase)
{
	return phase == VM_PHASE_STOPPED || phase == VM_PHASE_FAILED;
}

bool vm_phase_doomed(enum vm_phase phase)
{
	return vm_phase_state(phase) == VM_STOPPING;
}

bool vm_phase_busy(enum vm_phase phase)
{
	switch (phase) {
	case VM_PHASE_BUILDING:
	case VM_PHASE_STARTING:
	case VM_PHASE_COMMITTING:
	case VM_PHASE_REBUILDING:
	case VM_PHASE_RESTARTING:
	case VM_PHASE_LEAVING:
	case VM_PHASE_TEARDOWN:
		return true;
	default:
		return false;
	}
}

int vm_life_step(struct vm_life *life, enum vm_event event)
{
	const struct vm_transition *t = vm_transition_of(life->phase, event);
	int r = 0;

	if (!t)
		return -EPROTO;
	if (t->operation != VM_OPERATION_NONE)
		r = life->begin(life->data, t->operation);
	if (r < 0)
		return r;
	life->phase = t->next;
	life->on_phase(life->data);
	return 0;
}
