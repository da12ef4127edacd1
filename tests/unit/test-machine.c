/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VM from nothing to its end and back, against the model's resource manager; and with
 * everything that can fail failing once.
 */
#include "libghvm/machine.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/rm-abi.h"
#include "tests/unit/machine-bench.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static void starts_and_stops(void **state)
{
	static const struct bench_options options = { .demo = { .cpus = 2, .window = true } };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct model_counts c;
	enum ghvm_exit_type type;
	size_t n;

	bench_init(&b, &options);
	if (ghvm_machine_build(b.m, &b.demo.files, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	c = fake_rm_counts(b.f);
	assert_int_equal(c.vms, 1);
	assert_int_equal(c.parcels, 2);
	assert_int_equal(c.lent_pages, 1024);
	assert_int_equal(c.shared_pages, 4);
	assert_int_equal(ghvm_machine_pages_lent(b.m), 1024);
	assert_int_equal(ghvm_machine_pages_shared(b.m), 4);
	assert_int_equal(fake_rm_guarded(b.f), 2);
	assert_int_equal(fake_rm_grants(b.f), 1);
	assert_true(ghvm_machine_grant(b.m) >= 0);
	(void)ghvm_machine_vcpus(b.m, &n);
	assert_int_equal(n, 2);
	(void)ghvm_machine_doorbells(b.m, &n);
	assert_int_equal(n, 2);

	assert_int_equal(ghvm_machine_start(b.m, &err), 0);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 0);
	if (ghvm_machine_teardown(b.m, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_FORCED);
	bench_assert_clean(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_and_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
