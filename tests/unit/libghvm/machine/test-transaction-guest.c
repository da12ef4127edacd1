/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions that come and go, with guests that are no help: that keep, lie, say nothing or end.
 * What a guest has, it has as before; the fake watches each page (tests/fakes/rm.h).
 */
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "tests/fixtures/region.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

/* ---- guests that are no help ---- */

static void who_keeps_a_region_has_it_as_before(void **state)
{
	struct ghvm_transaction *t;
	struct ghvm_error err = {};
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	regions_must_change(&b, 8, 0);
	assert_true(regions_look(&b, 7).accepted && regions_look(&b, 8).accepted);
	b.guest_does = BENCH_GUEST_KEEPS;
	t = regions_begin(&b);
	regions_add(t, 9);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	assert_int_equal(ghvm_transaction_remove(t, 8, NULL), 0);
	assert_int_equal(ghvm_transaction_commit(t, 20, &err), -ETIMEDOUT);
	ghvm_transaction_free(t);
	assert_non_null(strstr(err.msg, "region 7"));
	assert_null(strstr(err.msg, "could not be"));
	assert_true(regions_look(&b, 7).accepted && regions_look(&b, 8).accepted);
	regions_assert_count(&b, 4);
	assert_int_equal(fake_rm_counts(b.f).parcels, 4);
	assert_int_equal(fake_rm_pins(b.f), 4);
	assert_null(guest_mem_find(&b.guest, 9, false)); /* it never heard of that */
	assert_null(guest_mem_find(&b.guest, 7, true));	 /* and the recall is off */

	b.guest_does = BENCH_GUEST_SERVES;
	regions_must_change(&b, 9, 7);
	assert_true(regions_there(&b, 8) && regions_there(&b, 9) && !regions_there(&b, 7));
	regions_end(&b);
}

/* It gives one up and keeps the other: it gets the one again. */
static void who_gives_half_of_it_up_gets_it_again(void **state)
{
	struct ghvm_transaction *t;
	struct ghvm_error err = {};
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	regions_must_change(&b, 8, 0);
	assert_true(regions_look(&b, 7).accepted && regions_look(&b, 8).accepted);
	for (size_t i = 0; i < GUEST_MEM_REGIONS_MAX; i++)
		if (b.guest.regions[i].label == 8)
			b.guest.regions[i].handle ^= 0x10000; /* it cannot find that one */
	t = regions_begin(&b);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	assert_int_equal(ghvm_transaction_remove(t, 8, NULL), 0);
	assert_int_equal(ghvm_transaction_commit(t, 20, &err), -ETIMEDOUT);
	ghvm_transaction_free(t);
	assert_null(strstr(err.msg, "could not be"));
	assert_true(regions_look(&b, 7).accepted && regions_there(&b, 8));
	assert_int_equal(fake_rm_counts(b.f).parcels, 4);
	regions_end(&b);
}

static void what_was_never_accepted_goes_at_once(void **state)
{
	struct bench b;

	regions_setup(&b, BENCH_GUEST_DEAF);
	regions_must_change(&b, 7, 0);
	assert_false(regions_look(&b, 7).accepted);
	regions_must_change(&b, 0, 7);
	regions_end(&b);
}

static void who_says_nothing_is_asked_by_reclaim(void **state)
{
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SILENT);
	regions_must_change(&b, 7, 0);
	assert_false(regions_look(&b, 7).accepted);
	assert_int_equal(b.guest.shared, 1);
	regions_must_change(&b, 8, 7);
	assert_false(regions_there(&b, 7));
	regions_end(&b);
}

static void who_lies_is_found_out(void **state)
{
	struct guest_mem_region *r;
	struct ghvm_error err = {};
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	assert_true(regions_look(&b, 7).accepted);
	b.guest_does = BENCH_GUEST_DEAF;
	r = &b.guest.regions[0];
	assert_int_equal(guest_mem_say(&b.guest, r, false), 0);
	assert_false(regions_look(&b, 7).accepted); /* it says */
	assert_int_equal(regions_change(&b, 0, 7, 20, &err), -ETIMEDOUT);
	assert_int_equal(fake_rm_counts(b.f).parcels, 3);
	assert_true(regions_there(&b, 7));
	b.guest_does = BENCH_GUEST_SERVES;
	assert_true(regions_look(&b, 7).size);
	regions_end(&b);
}

/* It guesses the next handle, and says of it with a tag of its own before it was told. */
static void speaks_first(void *data)
{
	struct bench *b = data;
	struct guest_mem_region r = b->guest.regions[0];

	r.handle++;
	r.tag = 77;
	(void)guest_mem_say(&b->guest, &r, true); /* refused, unless it is there now */
}

/* RM keeps the first tag: the guest harms only itself. */
static void who_sets_the_tag_first_gets_no_region(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	b.f->on_leave = speaks_first;
	assert_int_equal(regions_change(&b, 8, 0, 20, &err), -EREMOTEIO);
	b.f->on_leave = NULL;
	assert_int_equal(err.rm_message, GHVM_RM_MEM_NOTIFY);
	assert_int_equal(err.rm_code, GHVM_RM_ARGUMENT_INVALID);
	regions_assert_count(&b, 3);
	assert_int_equal(fake_rm_counts(b.f).parcels, 3);
	assert_int_equal(fake_rm_pins(b.f), 3);
	regions_end(&b);
}

/* ---- the end of a run ---- */

static void ends_when_a_recall_comes(void *data)
{
	struct bench *b = data;

	guest_mem_poll(&b->guest);
	if (b->guest.recalls)
		model_guest_ended(b->f->model, b->guest.slot, GHVM_EXIT_SYSTEM_OFF, NULL, 0);
}

static void a_guest_that_ends_meanwhile(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	assert_true(regions_look(&b, 7).accepted);
	b.f->on_leave = ends_when_a_recall_comes;
	assert_int_equal(regions_change(&b, 8, 7, REGIONS_MS, &err), -ESTALE);
	b.f->on_leave = NULL;
	assert_false(regions_there(&b, 8));
	assert_int_equal(ghvm_transaction_new(b.m, &(struct ghvm_transaction *){ NULL }, NULL),
			 -EBUSY);
	regions_end(&b);
}

static void a_teardown_ends_a_transaction(void **state)
{
	struct ghvm_error err = {};
	struct ghvm_transaction *t;
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	t = regions_begin(&b);
	regions_add(t, 8);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(regions_try_add(t, 9, &err), -ESTALE);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), -ESTALE);
	assert_int_equal(ghvm_transaction_commit(t, REGIONS_MS, NULL), -ESTALE);
	ghvm_transaction_free(t);
	regions_assert_count(&b, 0);
	regions_end(&b);

	regions_setup(&b, BENCH_GUEST_SERVES); /* the other way round than it should be */
	t = regions_begin(&b);
	regions_add(t, 8);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	ghvm_machine_free(TAKE_PTR(b.m));
	ghvm_transaction_free(t);
	bench_done(&b);
}

/* They were for this run of the guest: the next one begins as planned. */
static void a_reboot_begins_as_planned(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	if (ghvm_machine_rebuild(b.m, &b.demo.files, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	regions_assert_count(&b, 2);
	assert_int_equal(fake_rm_pins(b.f), 2);
	assert_int_equal(fake_rm_counts(b.f).parcels, 2);
	assert_int_equal(ghvm_machine_start(b.m, &err), 0);
	regions_must_change(&b, 7, 0);
	assert_true(regions_look(&b, 7).accepted);
	regions_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_keeps_a_region_has_it_as_before),
		cmocka_unit_test(who_gives_half_of_it_up_gets_it_again),
		cmocka_unit_test(what_was_never_accepted_goes_at_once),
		cmocka_unit_test(who_says_nothing_is_asked_by_reclaim),
		cmocka_unit_test(who_lies_is_found_out),
		cmocka_unit_test(who_sets_the_tag_first_gets_no_region),
		cmocka_unit_test(a_guest_that_ends_meanwhile),
		cmocka_unit_test(a_teardown_ends_a_transaction),
		cmocka_unit_test(a_reboot_begins_as_planned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
