/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a VM, with all below it in memory: a start, reboots, ends, and what a runner says.
 *
 * Each test ends in vm_bench_done(), which sees that no page, VMID or descriptor is left.
 */
#include <errno.h>
#include <string.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "ghvm/vcpu.h"
#include "tests/unit/unit.h"
#include "tests/fixtures/region.h"
#include "tests/fixtures/vm.h"

static int set_up(void **state)
{
	static struct vm_bench v;

	vm_bench_init(&v);
	*state = &v;
	return 0;
}

static int tear_down(void **state)
{
	vm_bench_done(*state);
	return 0;
}

/* --- starts --- */

static void a_start_and_an_end(void **state)
{
	struct vm_bench *v = *state;
	uint32_t end[2];

	vm_bench_run(v);
	assert_int_equal(v->built, 1);
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_OFF);
	vm_bench_await_end(v, VM_STOPPED, "off");
	vm_bench_expect(v, GHVM_LINK_ENDED, end);
	assert_int_equal(end[0], GHVM_EXIT_SYSTEM_OFF);
	assert_int_equal(end[1], GHVM_LINK_EXIT_OK);
	assert_string_equal(v->states, "starting running stopping stopped ");
	assert_false(v->vm->failed_now);
}

static void a_second_start(void **state)
{
	struct vm_bench *v = *state;

	for (int i = 0; i < 2; i++) {
		vm_bench_run(v);
		vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_OFF);
		vm_bench_await_end(v, VM_STOPPED, "off");
	}
	assert_int_equal(v->built, 2);
}

static void no_start_beside_a_guest(void **state)
{
	struct vm_bench *v = *state;
	struct ghvm_spec spec = {};
	struct ghvm_error err = {};

	vm_bench_begin(v);
	assert_int_equal(vm_begin(v->vm, &spec, &v->builder, &err), -EBUSY);
	assert_int_equal(v->vm->life.phase, VM_PHASE_GIVING);
}

static void nothing_is_built_of_what_was_not_given(void **state)
{
	struct vm_bench *v = *state;
	struct ghvm_error err = {};

	vm_bench_begin(v);
	assert_int_equal(vm_build(v->vm, &err), -EBADMSG);
	assert_int_equal(v->vm->life.phase, VM_PHASE_GIVING);
}

/* A build, too, that would begin when its guest is being torn down. */
static void no_build_of_a_guest_that_is_doomed(void **state)
{
	struct vm_bench *v = *state;
	struct ghvm_error err = {};

	vm_bench_begin(v);
	assert_int_equal(vm_stop(v->vm, GHVM_LINK_GRACEFUL), 0);
	assert_int_equal(vm_build(v->vm, &err), -EBUSY);
	vm_bench_await_end(v, VM_STOPPED, "stopped");
	assert_int_equal(v->failed, 1);
	assert_int_equal(v->failure.code, -ECANCELED);
}

static void a_build_that_fails(void **state)
{
	struct vm_bench *v = *state;

	model_refuse(v->b.f->model, GHVM_RM_VM_INIT, GHVM_RM_NOMEM, 0);
	vm_bench_begin(v);
	vm_bench_build(v);
	vm_bench_await_end(v, VM_FAILED, "start-failed");
	assert_int_equal(v->failed, 1);
	assert_int_equal(v->failure.code, -EREMOTEIO);
	assert_string_equal(v->vm->failed_step, "init");
	assert_string_equal(v->states, "starting failed ");
}

static void a_start_that_fails(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_begin(v);
	vm_bench_build(v);
	vm_bench_await(v, VM_PHASE_BUILT);
	vm_bench_hello(v, v->vm->vmid, v->vm->incarnation);
	model_refuse(v->b.f->model, GHVM_RM_VM_START, GHVM_RM_NOMEM, 0);
	vm_bench_say(v, GHVM_LINK_READY);
	vm_bench_await_end(v, VM_FAILED, "start-failed");
	vm_bench_expect(v, GHVM_LINK_REFUSED, NULL);
	assert_int_equal(v->failed, 0); /* the helper had heard that it was built */
}

/* --- a doom, in each phase of a life --- */

/* Bring the VM into @phase, or, as an operation may be quick, past it. */
static void bring_to(struct vm_bench *v, enum vm_phase phase)
{
	if (phase >= VM_PHASE_GIVING)
		vm_bench_begin(v);
	if (phase >= VM_PHASE_BUILDING)
		vm_bench_build(v);
	if (phase >= VM_PHASE_BUILT)
		vm_bench_await(v, VM_PHASE_BUILT);
	if (phase >= VM_PHASE_START_DUE) {
		vm_bench_hello(v, v->vm->vmid, v->vm->incarnation);
		vm_bench_say(v, GHVM_LINK_READY);
		vm_bench_await(v, VM_PHASE_STARTING);
	}
	if (phase >= VM_PHASE_RUNNING)
		vm_bench_await(v, VM_PHASE_RUNNING);
	if (phase >= VM_PHASE_PAUSING) {
		vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_RESET);
		vm_bench_await(v, VM_PHASE_REBUILDING);
	}
	if (phase >= VM_PHASE_REBUILT)
		vm_bench_await(v, VM_PHASE_REBUILT);
	if (phase >= VM_PHASE_RESTART_DUE) {
		vm_bench_say(v, GHVM_LINK_READY);
		vm_bench_await(v, VM_PHASE_RESTARTING);
	}
}

static const enum vm_phase stations[] = {
	VM_PHASE_GIVING,  VM_PHASE_BUILDING,   VM_PHASE_BUILT,	 VM_PHASE_STARTING,
	VM_PHASE_RUNNING, VM_PHASE_REBUILDING, VM_PHASE_REBUILT, VM_PHASE_RESTARTING,
};

static void its_unit_ends_in_any_phase(void **state)
{
	struct vm_bench *v = *state;

	for (size_t i = 0; i < ARRAY_SIZE(stations); i++) {
		bring_to(v, stations[i]);
		assert_int_equal(v->vm->life.phase, stations[i]);
		vm_release(v->vm, false);
		assert_int_equal(v->vm->state, VM_STOPPING);
		vm_release(v->vm, true); /* the first word counts */
		vm_bench_await_end(v, VM_FAILED, "runner-died");
	}
}

static void its_runner_leaves_in_any_phase(void **state)
{
	struct vm_bench *v = *state;

	for (size_t i = 0; i < ARRAY_SIZE(stations); i++) {
		if (stations[i] < VM_PHASE_STARTING) /* it had not said hello */
			continue;
		bring_to(v, stations[i]);
		vm_bench_leave(v);
		vm_bench_await_end(v, VM_FAILED, "runner-died");
		assert_non_null(strstr(v->vm->last_error.msg, "closed its connection"));
	}
}

static void its_helper_leaves(void **state)
{
	const struct ghvm_error gone = { .code = -EPIPE, .msg = "it has gone" };
	struct vm_bench *v = *state;

	for (size_t i = 0; stations[i] < VM_PHASE_BUILT; i++) {
		bring_to(v, stations[i]);
		vm_abandon(v->vm, &gone);
		vm_bench_await_end(v, VM_FAILED, "start-failed");
		assert_string_equal(v->vm->last_error.msg, "it has gone");
		vm_release(v->vm, true); /* and now it is known that it was stopped */
		assert_int_equal(v->vm->state, VM_STOPPED);
		assert_string_equal(v->vm->reason, "stopped");
	}
	assert_int_equal(v->built + v->failed, 0);
}

/* --- reboots --- */

static void a_reboot_in_place(void **state)
{
	struct vm_bench *v = *state;
	uint32_t end[2];

	vm_bench_run(v);
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_RESET);
	vm_bench_expect(v, GHVM_LINK_ENDED, end);
	assert_int_equal(end[1], GHVM_LINK_WAIT);
	vm_bench_expect(v, GHVM_LINK_REBUILT, NULL);
	assert_int_equal(v->vm->life.phase, VM_PHASE_REBUILT);
	vm_bench_say(v, GHVM_LINK_READY);
	vm_bench_await(v, VM_PHASE_RUNNING);
	assert_string_equal(v->states, "starting running rebooting running ");
}

static void a_reboot_that_fails(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	model_refuse(v->b.f->model, GHVM_RM_VM_ALLOCATE, GHVM_RM_NOMEM, 0);
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_RESET);
	vm_bench_await_end(v, VM_FAILED, "start-failed");
	assert_string_equal(v->states, "starting running rebooting failed ");
}

/* Reboot after reboot has to wait: the pages are the guest's, and a stop still works. */
static void a_stop_while_a_reboot_waits(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	v->vm->reboots.hasty = REBOOTS_HASTY_MAX - 1;
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_RESET);
	vm_bench_await(v, VM_PHASE_PAUSING);
	assert_string_equal(vm_substate(v->vm), "reboot-pause");
	vm_bench_say(v, GHVM_LINK_READY); /* the manager has not asked for it */
	assert_int_equal(vm_stop(v->vm, GHVM_LINK_FORCE), 0);
	vm_bench_expect(v, GHVM_LINK_STOP, NULL);
	assert_int_equal(v->vm->life.phase, VM_PHASE_PAUSING);
	vm_bench_leave(v);
	vm_bench_await_end(v, VM_STOPPED, "stopped");
}

/* --- what a runner says --- */

static void ready_means_nothing_to_a_guest_that_runs(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	vm_bench_say(v, GHVM_LINK_READY);
	vm_bench_say_stopping(v, GHVM_LINK_REBOOT); /* behind it */
	vm_bench_say_exited(v, GHVM_VCPU_POWERED_OFF);
	vm_bench_await_hint(v);
	assert_int_equal(v->vm->life.phase, VM_PHASE_RUNNING);
	assert_string_equal(v->states, "starting running ");
}

static void a_runner_of_another_machine(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_begin(v);
	vm_bench_build(v);
	vm_bench_await(v, VM_PHASE_BUILT);
	vm_bench_hello(v, v->vm->vmid, v->vm->incarnation + 1);
	vm_bench_await_end(v, VM_FAILED, "runner-died");
	vm_bench_expect(v, GHVM_LINK_REFUSED, NULL);
}

static void a_stop_is_said_once(void **state)
{
	struct vm_bench *v = *state;
	uint32_t end[2];

	vm_bench_run(v);
	assert_int_equal(vm_stop(v->vm, GHVM_LINK_GRACEFUL), 0);
	assert_int_equal(vm_stop(v->vm, GHVM_LINK_GRACEFUL), 0);
	assert_string_equal(vm_substate(v->vm), "power-off");
	vm_bench_expect(v, GHVM_LINK_STOP, NULL);
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_RESET); /* asked to stop: no reboot */
	vm_bench_await_end(v, VM_STOPPED, "reset");
	vm_bench_expect(v, GHVM_LINK_ENDED, end);
	assert_int_equal(end[1], GHVM_LINK_EXIT_OK);
	assert_int_equal(vm_stop(v->vm, GHVM_LINK_GRACEFUL), -ESRCH);
}

static void a_runner_that_was_told_to_drop_its_guest(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	vm_bench_say_stopping(v, GHVM_LINK_FORCE);
	vm_bench_leave(v);
	vm_bench_await_end(v, VM_STOPPED, "forced");
}

static void a_runner_that_does_not_stop(void **state)
{
	struct vm_bench *v = *state;
	uint32_t end[2];

	vm_bench_run(v);
	assert_int_equal(vm_stop(v->vm, GHVM_LINK_FORCE), 0);
	vm_on_patience(v->vm); /* now, and not in three seconds */
	vm_bench_await_end(v, VM_STOPPED, "forced");
	vm_bench_expect(v, GHVM_LINK_ENDED, end);
	assert_int_equal(end[0], GHVM_EXIT_FORCED);
}

/* RM says nothing of this end, so the vCPUs' word counts. */
static void an_end_that_only_the_runner_saw(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	model_drop_end(v->b.f->model, 0);
	vm_bench_end_guest(v, GHVM_EXIT_SOFTWARE_ERROR);
	vm_bench_say_exited(v, GHVM_VCPU_FAULT);
	vm_bench_await_hint(v);
	assert_int_equal(v->vm->life.phase, VM_PHASE_RUNNING);
	vm_on_hint_patience(v->vm);
	vm_bench_await_end(v, VM_FAILED, "crash");
	assert_true(v->vm->failed_now);
}

static void a_crash(void **state)
{
	struct vm_bench *v = *state;
	uint32_t end[2];

	vm_bench_run(v);
	vm_bench_end_guest(v, GHVM_EXIT_ASYNC_ABORT);
	vm_bench_await_end(v, VM_FAILED, "abort");
	vm_bench_expect(v, GHVM_LINK_ENDED, end);
	assert_int_equal(end[1], GHVM_LINK_EXIT_STOP);
	assert_int_equal(v->vm->last_error.code, -ECONNABORTED);
}

/* The guest runs, for all that RM says. */
static void a_bite_of_the_runners_watchdog(void **state)
{
	struct vm_bench *v = *state;
	uint32_t end[2];

	vm_bench_run(v);
	vm_bench_say_exited(v, GHVM_LINK_BITTEN);
	vm_bench_await_hint(v);
	vm_on_hint_patience(v->vm);
	vm_bench_await_end(v, VM_FAILED, "watchdog");
	vm_bench_expect(v, GHVM_LINK_ENDED, end);
	assert_int_equal(end[0], GHVM_EXIT_WATCHDOG);
	assert_int_equal(end[1], GHVM_LINK_EXIT_RESTART);
}

/* --- memory that comes and goes --- */

static void on_transaction_end(void *data, enum vm_transaction_end end,
			       const struct ghvm_error *err)
{
	*(int *)data = (int)end;
}

/* One region is to come; @ret: how it ended, -1 until then. */
static void open_transaction(struct vm_bench *v, int *ret)
{
	const struct vm_transaction_owner owner = { ret, on_transaction_end };
	_cleanup_(closep) int fd = regions_memfd(REGIONS_SIZE, REGIONS_SEALS);
	const struct ghvm_transaction_add a = {
		.label = 7, .ipa = GHVM_GIB(8), .size = REGIONS_SIZE, .memfd = fd
	};
	struct ghvm_error err = {};

	*ret = -1;
	v->rm_rpc = true;
	vm_bench_run(v);
	assert_int_equal(vm_transaction_begin(v->vm, &owner, &err), 0);
	if (vm_transaction_add(v->vm, &a, &err) < 0)
		fail_msg("%s", err.msg);
}

static void begin_commit(struct vm_bench *v)
{
	struct ghvm_error err = {};

	assert_int_equal(vm_transaction_commit(v->vm, 1000, &err), 0);
	assert_int_equal(v->vm->life.phase, VM_PHASE_COMMITTING);
	assert_int_equal(v->vm->state, VM_RUNNING);
	assert_int_equal(vm_transaction_commit(v->vm, 1000, &err), -EBUSY);
}

static void a_commit(void **state)
{
	struct vm_bench *v = *state;
	int end;

	open_transaction(v, &end);
	begin_commit(v);
	vm_bench_await(v, VM_PHASE_RUNNING);
	assert_int_equal(end, VM_TRANSACTION_COMMITTED);
	assert_false(vm_has_transaction(v->vm));
	assert_string_equal(v->states, "starting running ");
}

/* The teardown waits for the commit's end, which the machine belongs to until then. */
static void its_unit_ends_during_a_commit(void **state)
{
	struct vm_bench *v = *state;
	int end;

	open_transaction(v, &end);
	begin_commit(v);
	vm_release(v->vm, false);
	assert_int_equal(v->vm->life.phase, VM_PHASE_LEAVING);
	assert_int_equal(end, -1);
	vm_bench_await_end(v, VM_FAILED, "runner-died");
	assert_int_equal(end, VM_TRANSACTION_COMMITTED);
}

static void its_unit_ends_before_a_commit(void **state)
{
	struct vm_bench *v = *state;
	int end;

	open_transaction(v, &end);
	vm_release(v->vm, false);
	assert_int_equal(end, VM_TRANSACTION_ROLLED_BACK);
	vm_bench_await_end(v, VM_FAILED, "runner-died");
}

/* --- a teardown that fails --- */

static void what_cannot_be_given_back(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	model_refuse(v->b.f->model, GHVM_RM_MEM_RECLAIM, GHVM_RM_MEM_INUSE, 0);
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_OFF);
	vm_bench_await_end(v, VM_FAILED, "off");
	assert_int_equal(v->remains, 1);
	assert_non_null(strstr(v->vm->last_error.msg, "in quarantine"));
	assert_string_equal(v->vm->failed_step, "teardown");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_start_and_an_end),
		TEST(a_second_start),
		TEST(no_start_beside_a_guest),
		TEST(nothing_is_built_of_what_was_not_given),
		TEST(no_build_of_a_guest_that_is_doomed),
		TEST(a_build_that_fails),
		TEST(a_start_that_fails),
		TEST(its_unit_ends_in_any_phase),
		TEST(its_runner_leaves_in_any_phase),
		TEST(its_helper_leaves),
		TEST(a_reboot_in_place),
		TEST(a_reboot_that_fails),
		TEST(a_stop_while_a_reboot_waits),
		TEST(ready_means_nothing_to_a_guest_that_runs),
		TEST(a_runner_of_another_machine),
		TEST(a_stop_is_said_once),
		TEST(a_runner_that_was_told_to_drop_its_guest),
		TEST(a_runner_that_does_not_stop),
		TEST(an_end_that_only_the_runner_saw),
		TEST(a_crash),
		TEST(a_bite_of_the_runners_watchdog),
		TEST(a_commit),
		TEST(its_unit_ends_during_a_commit),
		TEST(its_unit_ends_before_a_commit),
		TEST(what_cannot_be_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
