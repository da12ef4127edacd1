/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A manager dies, and another one adopts its guest: is there a runner, and what does it say?
 */
#include <errno.h>
#include <string.h>

#include "libghvm/base/cleanup.h"
#include "ghvm/vcpu.h"
#include "tests/unit/unit.h"
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

/* A guest of the manager before, which runs; its runner has been dialled. */
static void adopt_running(struct vm_bench *v)
{
	vm_bench_run(v);
	vm_bench_replace_manager(v);
	assert_int_equal(v->vm->life.phase, VM_PHASE_RUNNING);
	assert_true(vm_awaits_runner(v->vm));
	vm_bench_accept(v);
}

/* It ended when the manager before died: RM says that it did, and not how. */
static void adopt_exited(struct vm_bench *v)
{
	vm_bench_run(v);
	vm_bench_end_guest_unheard(v, GHVM_EXIT_SYSTEM_OFF);
	vm_bench_adopt(v);
	vm_bench_accept(v);
}

static void a_guest_that_runs_is_carried_on(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	const struct ghvm_vmid vmid = v->vm->vmid;
	const uint64_t incarnation = v->vm->incarnation;

	vm_bench_replace_manager(v);
	assert_string_equal(v->states, "running ");
	vm_bench_accept(v);
	vm_bench_hello(v, vmid, incarnation);
	vm_bench_expect(v, GHVM_LINK_STARTED, NULL); /* it may not have heard it before */
	assert_false(vm_awaits_runner(v->vm));
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_OFF);
	vm_bench_await_end(v, VM_STOPPED, "off");
	assert_string_equal(v->states, "running stopping stopped ");
}

/* Its kernel cannot be opened again: it was a memfd. So its unit is to start anew. */
static void a_reboot_of_which_the_images_are_gone(void **state)
{
	struct vm_bench *v = *state;
	uint32_t end[2];

	adopt_running(v);
	vm_bench_hello(v, v->vm->vmid, v->vm->incarnation);
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_RESET);
	vm_bench_await_end(v, VM_STOPPED, "reset");
	vm_bench_expect(v, GHVM_LINK_ENDED, end);
	assert_int_equal(end[1], GHVM_LINK_EXIT_RESTART);
}

static void a_runner_of_another_machine_is_refused(void **state)
{
	struct vm_bench *v = *state;

	adopt_running(v);
	vm_bench_hello(v, v->vm->vmid, v->vm->incarnation ^ 1);
	vm_bench_await_end(v, VM_FAILED, "runner-died");
	vm_bench_expect(v, GHVM_LINK_REFUSED, NULL);
}

static void a_runner_that_says_nothing(void **state)
{
	struct vm_bench *v = *state;

	adopt_running(v);
	vm_on_patience(v->vm); /* now, and not in two seconds */
	vm_bench_await_end(v, VM_FAILED, "orphaned");
}

static void a_runner_that_hangs_up(void **state)
{
	struct vm_bench *v = *state;

	adopt_running(v);
	vm_bench_leave(v);
	vm_bench_await_end(v, VM_FAILED, "runner-died");
}

static void no_runner(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	closep(&v->listener);
	v->listener = -1;
	vm_bench_replace_manager(v);
	assert_string_equal(v->states, "stopping ");
	vm_bench_await_end(v, VM_FAILED, "orphaned");
}

/* It was built and had not begun: it is undone, and its runner need not wait. */
static void a_guest_that_had_not_begun(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_begin(v);
	vm_bench_build(v);
	vm_bench_await(v, VM_PHASE_BUILT);
	vm_bench_replace_manager(v);
	assert_string_equal(v->states, "stopping ");
	vm_bench_accept(v);
	vm_bench_expect(v, GHVM_LINK_REFUSED, NULL);
	vm_bench_await_end(v, VM_FAILED, "orphaned");
}

static void a_runner_that_saw_the_end(void **state)
{
	struct vm_bench *v = *state;
	uint32_t end[2];

	adopt_exited(v);
	vm_bench_hello(v, v->vm->vmid, v->vm->incarnation);
	assert_true(vm_alive(v->vm));
	vm_bench_say_exited(v, GHVM_VCPU_POWERED_OFF);
	vm_bench_await_end(v, VM_STOPPED, "off");
	vm_bench_expect(v, GHVM_LINK_ENDED, end);
	assert_int_equal(end[1], GHVM_LINK_EXIT_OK);
}

static void a_runner_that_does_not_say_how_it_ended(void **state)
{
	struct vm_bench *v = *state;

	adopt_exited(v);
	vm_bench_hello(v, v->vm->vmid, v->vm->incarnation);
	vm_on_hint_patience(v->vm); /* now, and not in two seconds */
	vm_bench_await_end(v, VM_FAILED, "unknown");
}

/* Two managers die, one after the other. */
static void adopted_again(void **state)
{
	struct vm_bench *v = *state;

	adopt_running(v);
	vm_bench_hello(v, v->vm->vmid, v->vm->incarnation);
	vm_bench_replace_manager(v);
	vm_bench_accept(v);
	vm_bench_hello(v, v->vm->vmid, v->vm->incarnation);
	assert_int_equal(v->vm->life.phase, VM_PHASE_RUNNING);
	assert_int_equal(vm_stop(v->vm, GHVM_LINK_FORCE), 0);
	vm_bench_expect(v, GHVM_LINK_STOP, NULL);
	vm_bench_say_stopping(v, GHVM_LINK_FORCE);
	vm_bench_leave(v);
	vm_bench_await_end(v, VM_STOPPED, "forced");
}

/* The guest of a VM that has failed before, be it by a refusal. */
static void of_a_vm_that_was_refused(void **state)
{
	const struct ghvm_error why = { .code = -EINVAL, .msg = "no" };
	struct vm_bench *v = *state;

	vm_refused(v->vm, "descriptor", &why);
	assert_int_equal(v->vm->life.phase, VM_PHASE_STOPPED);
	adopt_running(v);
}

static void a_runner_whose_guest_is_no_more(void **state)
{
	struct vm_bench *v = *state;

	vm_bench_run(v);
	vm_bench_end_guest(v, GHVM_EXIT_SYSTEM_OFF);
	vm_bench_await_end(v, VM_STOPPED, "off");
	vm_dismiss(v->vm); /* there is no listener any more: nothing is said */
	assert_int_equal(v->vm->life.phase, VM_PHASE_STOPPED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_guest_that_runs_is_carried_on),
		TEST(a_reboot_of_which_the_images_are_gone),
		TEST(a_runner_of_another_machine_is_refused),
		TEST(a_runner_that_says_nothing),
		TEST(a_runner_that_hangs_up),
		TEST(no_runner),
		TEST(a_guest_that_had_not_begun),
		TEST(a_runner_that_saw_the_end),
		TEST(a_runner_that_does_not_say_how_it_ended),
		TEST(adopted_again),
		TEST(of_a_vm_that_was_refused),
		TEST(a_runner_whose_guest_is_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
