/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a guest boots, with resource managers that can be told. */
#include "ghvm/guest-map.h"
#include "ghvm/machine.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>

static void the_guest_starts_as_the_registers_say(void **state)
{
	static const struct bench_options options = { .host = { .boot_context = true },
						      .demo = { .registers = true } };
	const struct model_registers *r;
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &options);
	assert_int_equal(bench_run(&b, NULL), 0);
	r = &b.f->registers;
	assert_int_equal(r->pc, GHVM_IPA_RAM + 0x1000);
	assert_int_equal(r->x[0], 0);
	assert_int_equal(r->x[1], 0);
	assert_int_equal(r->sp[0], 0);
	assert_int_equal(r->sp[1], GHVM_IPA_RAM + 0x4000);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

/* The plan refuses it first; a resource manager that does not know the message undoes the start. */
static void a_register_that_cannot_be_set_is_no_start(void **state)
{
	static const struct bench_options options = { .demo = { .registers = true } };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	bench_init(&b, &options);
	assert_int_equal(bench_run(&b, &err), -EREMOTEIO);
	assert_int_equal(err.rm_message, GHVM_RM_VM_SET_BOOT_CONTEXT);
	assert_int_equal(err.rm_code, GHVM_RM_UNIMPLEMENTED);
	assert_int_equal(ghvm_machine_step(b.m), GHVM_STEP_BOOT_CONTEXT);
	bench_assert_clean(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guest_starts_as_the_registers_say),
		cmocka_unit_test(a_register_that_cannot_be_set_is_no_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
