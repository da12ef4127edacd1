/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The phases of a VM's life: every pair of phase and event, and what the table as a whole promises.
 */
#include "daemon/manager/vm/phase.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

/* A letter a phase, as the grid below writes them. */
static const char letters[VM_PHASE_COUNT_ + 1] = "-!gwBbsSfrCpRaeEldT";

/*
 * Where each pair leads, a row a phase and a column an event; '.': refused. Events in the order of
 * their enum: begin wait given done failed ready try commit reboot pause-over doom adopt lost again cancel
 */
static const char *const grid[VM_PHASE_COUNT_] = {
	[VM_PHASE_STOPPED] = "g..........rd..",	    [VM_PHASE_FAILED] = "g..........rd.-",
	[VM_PHASE_GIVING] = ".wB.......d....",	    [VM_PHASE_PEER_DUE] = "..B.......d....",
	[VM_PHASE_BUILDING] = "...b!.....l....",    [VM_PHASE_BUILT] = ".....s....d....",
	[VM_PHASE_START_DUE] = "......S...d....",   [VM_PHASE_STARTING] = "...r!.....l..f.",
	[VM_PHASE_REFUSED] = "......B...d....",	    [VM_PHASE_RUNNING] = ".......Cp.d....",
	[VM_PHASE_COMMITTING] = "...r......l....",  [VM_PHASE_PAUSING] = ".........Rd....",
	[VM_PHASE_REBUILDING] = "...a!.....l....",  [VM_PHASE_REBUILT] = ".....e....d....",
	[VM_PHASE_RESTART_DUE] = "......E...d....", [VM_PHASE_RESTARTING] = "...r!.....l....",
	[VM_PHASE_LEAVING] = "...d!..........",	    [VM_PHASE_DOOMED] = "......T........",
	[VM_PHASE_TEARDOWN] = "...-!..........",
};

static const enum vm_operation operations[VM_PHASE_COUNT_] = {
	[VM_PHASE_GIVING] = VM_OPERATION_BUILD,	     [VM_PHASE_PEER_DUE] = VM_OPERATION_BUILD,
	[VM_PHASE_REFUSED] = VM_OPERATION_REBUILD,   [VM_PHASE_START_DUE] = VM_OPERATION_START,
	[VM_PHASE_RUNNING] = VM_OPERATION_COMMIT,    [VM_PHASE_PAUSING] = VM_OPERATION_REBUILD,
	[VM_PHASE_RESTART_DUE] = VM_OPERATION_START, [VM_PHASE_DOOMED] = VM_OPERATION_TEARDOWN,
};

/**
 * struct walker - a life with operations that only count
 * @result: of each begin
 * @began: the last one; @begins: how many
 * @seen: the phase that on_phase() found, @changes: how often it was called
 */
struct walker {
	struct vm_life life;
	int result;
	enum vm_operation began;
	unsigned int begins;
	enum vm_phase seen;
	unsigned int changes;
};

static int begin(void *data, enum vm_operation operation)
{
	struct walker *w = data;

	w->began = operation;
	w->begins++;
	return w->result;
}

static void on_phase(void *data)
{
	struct walker *w = data;

	w->seen = w->life.phase;
	w->changes++;
}

static void walker_init(struct walker *w, enum vm_phase phase, int result)
{
	*w = (struct walker){
		.life = { .phase = phase, .data = w, .begin = begin, .on_phase = on_phase },
		.result = result,
	};
}

static bool legal(enum vm_phase phase, enum vm_event event, enum vm_phase *ret)
{
	const char cell = grid[phase][event];

	assert_true(cell == '.' || strchr(letters, cell));
	*ret = cell == '.' ? phase : (enum vm_phase)(strchr(letters, cell) - letters);
	return cell != '.';
}

static bool begins(enum vm_phase phase, enum vm_event event)
{
	return operations[phase] != VM_OPERATION_NONE && event != VM_EVENT_DOOM &&
	       event != VM_EVENT_REBOOT && event != VM_EVENT_WAIT;
}

static void refused(enum vm_phase phase, enum vm_event event)
{
	struct walker w;

	walker_init(&w, phase, 0);
	assert_int_equal(vm_life_step(&w.life, event), -EPROTO);
	assert_int_equal(w.life.phase, phase);
	assert_int_equal(w.begins + w.changes, 0);
}

static void taken(enum vm_phase phase, enum vm_event event, enum vm_phase next)
{
	struct walker w;

	walker_init(&w, phase, 0);
	assert_int_equal(vm_life_step(&w.life, event), 0);
	assert_int_equal(w.life.phase, next);
	assert_int_equal(w.seen, next);
	assert_int_equal(w.changes, 1);
	assert_int_equal(w.begins, begins(phase, event));
	if (w.begins)
		assert_int_equal(w.began, operations[phase]);
}

/* Without a thread for its operation a step is not taken, and can be tried again. */
static void without_a_thread(enum vm_phase phase, enum vm_event event, enum vm_phase next)
{
	struct walker w;

	walker_init(&w, phase, -EAGAIN);
	assert_int_equal(vm_life_step(&w.life, event), -EAGAIN);
	assert_int_equal(w.life.phase, phase);
	assert_int_equal(w.changes, 0);
	w.result = 0;
	assert_int_equal(vm_life_step(&w.life, event), 0);
	assert_int_equal(w.life.phase, next);
}

static void each_pair(void **state)
{
	enum vm_phase next;

	for (enum vm_phase p = 0; p < VM_PHASE_COUNT_; p++) {
		assert_int_equal(strlen(grid[p]), VM_EVENT_COUNT_);
		for (enum vm_event e = 0; e < VM_EVENT_COUNT_; e++) {
			if (!legal(p, e, &next)) {
				refused(p, e);
				continue;
			}
			taken(p, e, next);
			if (begins(p, e))
				without_a_thread(p, e, next);
		}
	}
}

/* At most one runs at a time, and only its end ends it. */
static void operations_begin_and_end(void **state)
{
	const struct vm_transition *t;

	for (enum vm_phase p = 0; p < VM_PHASE_COUNT_; p++)
		for (enum vm_event e = 0; e < VM_EVENT_COUNT_; e++) {
			t = vm_transition_of(p, e);
			if (!t)
				continue;
			if (t->operation != VM_OPERATION_NONE)
				assert_true(!vm_phase_busy(p) && vm_phase_busy(t->next));
			else if (e == VM_EVENT_DOOM) /* does not end one */
				assert_int_equal(vm_phase_busy(p), vm_phase_busy(t->next));
			else /* the end of one is a DONE, FAILED or AGAIN, and nothing else is */
				assert_int_equal(vm_phase_busy(p), e == VM_EVENT_DONE ||
									   e == VM_EVENT_FAILED ||
									   e == VM_EVENT_AGAIN);
			if (t->operation == VM_OPERATION_NONE && e != VM_EVENT_DOOM)
				assert_false(vm_phase_busy(t->next));
		}
}

/*
 * The pages of a guest are given up with it, so no event may take it away but the end of an
 * operation that has undone it: one that failed and undid itself, or the teardown.
 */
static void a_guest_leaves_only_by_an_undo(void **state)
{
	const struct vm_transition *t;

	for (enum vm_phase p = 0; p < VM_PHASE_COUNT_; p++)
		for (enum vm_event e = 0; e < VM_EVENT_COUNT_; e++) {
			t = vm_transition_of(p, e);
			if (!t || vm_phase_vacant(p) || !vm_phase_vacant(t->next))
				continue;
			assert_true(vm_phase_busy(p));
			assert_true(e == VM_EVENT_FAILED ||
				    (e == VM_EVENT_DONE && p == VM_PHASE_TEARDOWN));
			assert_int_not_equal(
				p, VM_PHASE_COMMITTING); /* undoes itself, not the guest */
		}
}

/* Whatever a guest is doing, a doom is taken once and its teardown begins. */
static void a_doom_ends_in_a_teardown(void **state)
{
	struct walker w;

	for (enum vm_phase p = 0; p < VM_PHASE_COUNT_; p++) {
		walker_init(&w, p, 0);
		if (vm_phase_vacant(p) || vm_phase_doomed(p)) {
			refused(p, VM_EVENT_DOOM);
			continue;
		}
		assert_int_equal(vm_life_step(&w.life, VM_EVENT_DOOM), 0);
		assert_true(vm_phase_doomed(w.life.phase));
		refused(w.life.phase, VM_EVENT_DOOM);
		if (vm_phase_busy(p))
			assert_int_equal(vm_life_step(&w.life, VM_EVENT_DONE), 0);
		assert_int_equal(vm_life_step(&w.life, VM_EVENT_TRY), 0);
		assert_int_equal(w.life.phase, VM_PHASE_TEARDOWN);
		assert_int_equal(w.began, VM_OPERATION_TEARDOWN);
	}
}

static void states_of_phases(void **state)
{
	static const enum vm_event life[] = {
		VM_EVENT_BEGIN,	 VM_EVENT_GIVEN,      VM_EVENT_DONE,   VM_EVENT_READY,
		VM_EVENT_TRY,	 VM_EVENT_DONE,	      VM_EVENT_COMMIT, VM_EVENT_DONE,
		VM_EVENT_REBOOT, VM_EVENT_PAUSE_OVER, VM_EVENT_DONE,   VM_EVENT_READY,
		VM_EVENT_TRY,	 VM_EVENT_DONE,	      VM_EVENT_DOOM,   VM_EVENT_TRY,
		VM_EVENT_DONE,
	};
	static const enum vm_state states[] = {
		VM_STARTING,  VM_STARTING, VM_STARTING,	 VM_STARTING,  VM_STARTING,  VM_RUNNING,
		VM_RUNNING,   VM_RUNNING,  VM_REBOOTING, VM_REBOOTING, VM_REBOOTING, VM_REBOOTING,
		VM_REBOOTING, VM_RUNNING,  VM_STOPPING,	 VM_STOPPING,  VM_STOPPED,
	};
	struct walker w;

	walker_init(&w, VM_PHASE_STOPPED, 0);
	for (size_t i = 0; i < sizeof(life) / sizeof(life[0]); i++) {
		assert_int_equal(vm_life_step(&w.life, life[i]), 0);
		assert_int_equal(vm_phase_state(w.life.phase), states[i]);
	}
	assert_int_equal(vm_phase_state(VM_PHASE_FAILED), VM_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pair),
		cmocka_unit_test(operations_begin_and_end),
		cmocka_unit_test(a_guest_leaves_only_by_an_undo),
		cmocka_unit_test(a_doom_ends_in_a_teardown),
		cmocka_unit_test(states_of_phases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
