/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM that is to be shared, and a resource manager that refuses that: the same pages are lent instead.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/plan/plan.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define RAM_PAGES 0x90

/* @production: RM refuses shared RAM at VM_START (abi K.7). */
static void init(struct bench *b, bool production)
{
	const struct bench_options o = {
		.host = { .ram_size = GHVM_MIB(2), .production = production },
		.demo = { .memory = RAM_PAGES * GHVM_PAGE, .shared = true },
	};

	bench_init(b, &o);
	ghvm_machine_try_share(b->m);
}

static int build_and_start(struct bench *b, struct ghvm_error *err)
{
	int r = ghvm_machine_build(b->m, &b->demo.files, NULL, err);

	return r < 0 ? r : ghvm_machine_start(b->m, err);
}

/* Nothing is undone: the VM is as it was, and all its pages are guarded. */
static void assert_refused(struct bench *b)
{
	assert_true(ghvm_machine_share_refused(b->m));
	assert_int_equal(fake_rm_counts(b->f).vms, 1);
	assert_int_equal(fake_rm_counts(b->f).shared_pages, RAM_PAGES);
	assert_int_equal(fake_rm_guarded(b->f), 1);
}

static void count(void *data)
{
	++*(unsigned int *)data;
}

static void assert_lends(struct bench *b)
{
	unsigned int pinned = 0;
	const struct ghvm_machine_hooks hooks = { .data = &pinned, .on_pinned = count };

	ghvm_plan_lend_ram(&b->demo.plan);
	assert_int_equal(ghvm_machine_rebuild(b->m, &b->demo.files, &hooks, NULL), 0);
	assert_int_equal(pinned, 1); /* the moment to close the file of RAM */
	assert_false(ghvm_machine_share_refused(b->m));
	assert_int_equal(ghvm_machine_start(b->m, NULL), 0);
	assert_int_equal(fake_rm_counts(b->f).lent_pages, RAM_PAGES);
	assert_int_equal(fake_rm_counts(b->f).shared_pages, 0);
	assert_int_equal(ghvm_machine_pages_lent(b->m), RAM_PAGES);
	assert_int_equal(ghvm_machine_teardown(b->m, NULL), 0);
	bench_assert_clean(b);
}

static void refused_at_the_start(void **state)
{
	_cleanup_(bench_done) struct bench b;

	init(&b, true);
	assert_int_equal(build_and_start(&b, &(struct ghvm_error){}), -EREMOTEIO);
	assert_refused(&b);
	assert_lends(&b);
}

static void refused_before(void **state)
{
	static const uint32_t messages[] = { GHVM_RM_VM_CONFIG_IMAGE, GHVM_RM_VM_INIT };

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		_cleanup_(bench_done) struct bench b;

		init(&b, false);
		model_refuse(b.f->model, messages[i], GHVM_RM_VALIDATE_FAILED, 0);
		assert_int_equal(build_and_start(&b, &(struct ghvm_error){}), -EREMOTEIO);
		assert_refused(&b);
		assert_lends(&b);
	}
}

static void or_it_is_torn_down(void **state)
{
	_cleanup_(bench_done) struct bench b;

	init(&b, true);
	assert_int_equal(build_and_start(&b, &(struct ghvm_error){}), -EREMOTEIO);
	assert_refused(&b);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

/* Its process dies then: RAM is shared according to the tags, and comes back. */
static void or_it_is_adopted(void **state)
{
	_cleanup_(bench_done) struct bench b;

	init(&b, true);
	assert_int_equal(build_and_start(&b, &(struct ghvm_error){}), -EREMOTEIO);
	assert_refused(&b);
	assert_int_equal(bench_recover(&b, NULL), 0);
	bench_assert_clean(&b);
}

static bool is_documented(uint32_t message, uint32_t status)
{
	return message == GHVM_RM_VM_START ? status == GHVM_RM_NORESOURCE
					   : status == GHVM_RM_VALIDATE_FAILED;
}

/* Every other refusal is undone as ever, so no try follows from a status that means something else. */
static void no_other_status_counts(void **state)
{
	static const uint32_t messages[] = { GHVM_RM_VM_ALLOCATE, GHVM_RM_MEM_SHARE,
					     GHVM_RM_VM_CONFIG_IMAGE, GHVM_RM_VM_INIT,
					     GHVM_RM_VM_START };

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		for (size_t k = 0; k < ARRAY_SIZE(bench_statuses); k++) {
			_cleanup_(bench_done) struct bench b;

			init(&b, false);
			model_refuse(b.f->model, messages[i], bench_statuses[k], 0);
			assert_true(build_and_start(&b, &(struct ghvm_error){}) < 0);
			assert_int_equal(ghvm_machine_share_refused(b.m),
					 i >= 2 && is_documented(messages[i], bench_statuses[k]));
			if (!bench_clean(&b)) /* what is unknown is asked about, as ever */
				assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
			bench_assert_clean(&b);
		}
}

static void lent_ram_is_no_matter_of_sharing(void **state)
{
	static const struct bench_options lent = {
		.host = { .ram_size = GHVM_MIB(2) },
		.demo = { .memory = RAM_PAGES * GHVM_PAGE },
	};
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &lent);
	ghvm_machine_try_share(b.m);
	model_refuse(b.f->model, GHVM_RM_VM_START, GHVM_RM_NORESOURCE, 0);
	assert_int_equal(build_and_start(&b, &(struct ghvm_error){}), -EREMOTEIO);
	assert_false(ghvm_machine_share_refused(b.m));
	bench_assert_clean(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_at_the_start),
		cmocka_unit_test(refused_before),
		cmocka_unit_test(or_it_is_torn_down),
		cmocka_unit_test(or_it_is_adopted),
		cmocka_unit_test(no_other_status_counts),
		cmocka_unit_test(lent_ram_is_no_matter_of_sharing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
