/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ghvm/vcpu.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libghvm/base/cleanup.h"
#include "tests/fakes/queue-peer.h"

#define CAP 0xfedcba9876543210ULL

static void play(struct script_host *s, uint64_t x0, uint64_t state, uint64_t d0, uint64_t d1,
		 uint64_t d2)
{
	s->hcall.results[0] = x0;
	s->hcall.results[1] = state;
	s->hcall.results[2] = d0;
	s->hcall.results[3] = d1;
	s->hcall.results[4] = d2;
}

static void a_read_is_answered_by_the_next_run(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_vcpu v = { .host = &s->host, .cap = { CAP }, .read = 0x55 };

	play(s, 0, GHVM_VCPU_MMIO_READ, 0x10000018, 4, 0);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_int_equal(s->last.call, 0x65);
	assert_int_equal(s->last.args[0], CAP);
	assert_int_equal(s->last.args[1], 0); /* nothing was read before */
	assert_int_equal(v.state, GHVM_VCPU_MMIO_READ);
	assert_int_equal(v.ipa, 0x10000018);
	assert_int_equal(v.size, 4);

	v.read = 0x90;
	play(s, 0, GHVM_VCPU_READY, 0, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_int_equal(s->last.args[1], 0x90);
	assert_int_equal(s->last.args[2] | s->last.args[3] | s->last.args[4], 0);
	assert_int_equal(v.ipa, 0);

	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_int_equal(s->last.args[1], 0); /* not twice */
}

/* abi F.1: resume words belong to the return before; a refused run was no run. */
static void a_refused_run_keeps_the_answer(void **state)
{
	static const uint64_t again[] = { 31, 0xfffffffe };
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_vcpu v = { .host = &s->host, .cap = { CAP } };

	play(s, 0, GHVM_VCPU_MMIO_READ, 0x10000000, 1, 0);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	v.read = 0x42;
	for (size_t i = 0; i < 2; i++) {
		play(s, again[i], 99, 1, 2, 3);
		assert_int_equal(ghvm_vcpu_run(&v), -EAGAIN);
		assert_int_equal(v.state, GHVM_VCPU_MMIO_READ);
		assert_int_equal(v.read, 0x42);
	}
	play(s, 0, GHVM_VCPU_BLOCKED, 0, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_int_equal(s->last.args[1], 0x42);
	assert_int_equal(v.state, GHVM_VCPU_BLOCKED);
}

static void a_write_has_a_value(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_vcpu v = { .host = &s->host, .cap = { CAP } };

	play(s, 0, GHVM_VCPU_MMIO_WRITE, 0x3fffffff, 8, UINT64_MAX);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_int_equal(v.ipa, 0x3fffffff);
	assert_int_equal(v.size, 8);
	assert_int_equal(v.value, UINT64_MAX);
	v.read = 7; /* must not be handed in after a write */
	play(s, 0, GHVM_VCPU_READY, 0, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_int_equal(s->last.args[1], 0);
	assert_int_equal(v.value, 0);
}

static void off_for_now_and_off_for_good(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_vcpu v = { .host = &s->host, .cap = { CAP } };

	play(s, 0, GHVM_VCPU_POWERED_OFF, 0, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_int_equal(v.state, GHVM_VCPU_POWERED_OFF);
	assert_false(v.for_good);
	play(s, 0, GHVM_VCPU_POWERED_OFF, 1, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_true(v.for_good);
	play(s, 0, GHVM_VCPU_EXPECTS_WAKEUP, 1, 1, 0);
	assert_int_equal(ghvm_vcpu_run(&v), 0);
	assert_false(v.for_good); /* data0 means something else here */
}

static void other_states_come_through(void **state)
{
	static const uint64_t states[] = { 6, 7, 0x100, UINT64_MAX };
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_vcpu v = { .host = &s->host, .cap = { CAP } };

	for (size_t i = 0; i < 4; i++) {
		play(s, 0, states[i], 1ULL << 63, 4, 5);
		assert_int_equal(ghvm_vcpu_run(&v), 0);
		assert_int_equal(v.state, states[i]);
		assert_int_equal(v.ipa | v.size | v.value, 0);
	}
}

static void refusals(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_vcpu v = { .host = &s->host, .cap = { CAP } };

	play(s, 50, 0, 0, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), -ESTALE);
	play(s, 51, 0, 0, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), -ESTALE);
	play(s, 33, 0, 0, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), -EREMOTEIO);
	assert_int_equal(v.value, 33);
	play(s, 0xffffffff, 0, 0, 0, 0);
	assert_int_equal(ghvm_vcpu_run(&v), -EREMOTEIO);
	assert_int_equal((int64_t)v.value, -1);
	s->hcall_errno = -ESTALE;
	assert_int_equal(ghvm_vcpu_run(&v), -ESTALE);
	s->hcall_errno = -EPERM;
	assert_int_equal(ghvm_vcpu_run(&v), -EPERM);
}

static void rings(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_capid cap = { CAP };

	assert_int_equal(ghvm_doorbell_ring(&s->host, cap), 0);
	assert_int_equal(s->last.call, 0x12);
	assert_int_equal(s->last.args[0], CAP);
	assert_int_not_equal(s->last.args[1], 0); /* flags 0 would ring nothing */
	play(s, 50, 0, 0, 0, 0);
	assert_int_equal(ghvm_doorbell_ring(&s->host, cap), -ESTALE);
	play(s, 53, 0, 0, 0, 0);
	assert_int_equal(ghvm_doorbell_ring(&s->host, cap), -EREMOTEIO);
	s->hcall_errno = -EPERM;
	assert_int_equal(ghvm_doorbell_ring(&s->host, cap), -EPERM);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_is_answered_by_the_next_run),
		cmocka_unit_test(a_refused_run_keeps_the_answer),
		cmocka_unit_test(a_write_has_a_value),
		cmocka_unit_test(off_for_now_and_off_for_good),
		cmocka_unit_test(other_states_come_through),
		cmocka_unit_test(refusals),
		cmocka_unit_test(rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
