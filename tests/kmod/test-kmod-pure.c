// SPDX-License-Identifier: GPL-2.0-or-later
/* The module's decisions, which need no kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kmod/ghvm_pure.h"

#include <stdlib.h>

#define PAGE 4096ULL

static void only_some_calls_are_made(void **state)
{
	static const u32 plain[] = { 0x00, 0x12, 0x13, 0x14, 0x15, 0x45, 0x65 };
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		assert_int_equal(ghvm_call_kind(plain[i]), GHVM_CALL_PLAIN);
	assert_int_equal(ghvm_call_kind(0x1b), GHVM_CALL_SEND);
	assert_int_equal(ghvm_call_kind(0x1c), GHVM_CALL_RECEIVE);
	for (u32 call = 0; call < 0x20000; call++)
		n += ghvm_call_kind(call) != GHVM_CALL_REFUSED;
	assert_int_equal(n, 9);
	assert_int_equal(ghvm_call_kind(UINT32_MAX), GHVM_CALL_REFUSED);
	assert_int_equal(ghvm_call_kind(0xc6008000), GHVM_CALL_REFUSED);
}

static void virqs_are_shared_peripherals(void **state)
{
	assert_false(ghvm_virq_valid(0));
	assert_false(ghvm_virq_valid(31));
	assert_true(ghvm_virq_valid(32));
	assert_true(ghvm_virq_valid(1019));
	assert_false(ghvm_virq_valid(1020));
	assert_false(ghvm_virq_valid(UINT32_MAX));
}

static void grants_have_no_buffers(void **state)
{
	struct ghvm_grant_call calls[] = { { .call = 0x65 }, { .call = 0x12 }, { .call = 0x13 } };

	assert_int_equal(ghvm_calls_check(calls, 0), 0);
	assert_int_equal(ghvm_calls_check(calls, 3), 0);
	calls[2].call = 0x1b;
	assert_int_equal(ghvm_calls_check(calls, 3), -EPERM);
	assert_int_equal(ghvm_calls_check(calls, 2), 0);
	calls[2].call = 0x1c;
	assert_int_equal(ghvm_calls_check(calls, 3), -EPERM);
	calls[2].call = 0x61;
	assert_int_equal(ghvm_calls_check(calls, 3), -EPERM);
	calls[2] = (struct ghvm_grant_call){ .call = 0x65, .__reserved = 1 };
	assert_int_equal(ghvm_calls_check(calls, 3), -EINVAL);
}

static void a_grant_is_call_and_capability(void **state)
{
	const struct ghvm_grant_call calls[] = { { .call = 0x65, .capid = 1 },
						 { .call = 0x12, .capid = 1ULL << 40 } };
	const u32 virqs[] = { 40, 50 };

	assert_true(ghvm_calls_have(calls, 2, 0x65, 1));
	assert_true(ghvm_calls_have(calls, 2, 0x12, 1ULL << 40));
	assert_false(ghvm_calls_have(calls, 2, 0x12, 1));
	assert_false(ghvm_calls_have(calls, 2, 0x65, 1ULL << 40));
	assert_false(ghvm_calls_have(calls, 2, 0x65, 1 | 1ULL << 32));
	assert_false(ghvm_calls_have(calls, 1, 0x12, 1ULL << 40));
	assert_false(ghvm_calls_have(NULL, 0, 0x65, 1));
	assert_true(ghvm_virqs_have(virqs, 2, 50));
	assert_false(ghvm_virqs_have(virqs, 1, 50));
	assert_false(ghvm_virqs_have(NULL, 0, 40));
}

/* As many as a grant may have, in any order: each is found, and none between them. */
static void any_order_of_calls(void **state)
{
	struct ghvm_grant_call calls[GHVM_GRANT_MAX];

	for (u32 i = 0; i < GHVM_GRANT_MAX; i++)
		calls[i] =
			(struct ghvm_grant_call){ .call = i % 2 ? 0x65 : 0x12,
						  .capid = (u64)(i * 37 % GHVM_GRANT_MAX) << 33 };
	qsort(calls, GHVM_GRANT_MAX, sizeof(calls[0]), ghvm_calls_compare);
	for (u32 i = 0; i < GHVM_GRANT_MAX; i++) {
		const u32 other = calls[i].call == 0x65 ? 0x12 : 0x65;

		assert_true(ghvm_calls_have(calls, GHVM_GRANT_MAX, calls[i].call, calls[i].capid));
		assert_false(ghvm_calls_have(calls, GHVM_GRANT_MAX, other, calls[i].capid));
		assert_false(
			ghvm_calls_have(calls, GHVM_GRANT_MAX, calls[i].call, calls[i].capid + 1));
	}
}

static void pages_that_touch_are_one_extent(void **state)
{
	static const u64 pages[] = { 0x1000, 0x2000, 0x3000, 0x5000, 0x4000, 0x6000, 0x7000 };
	static const struct ghvm_extent wanted[] = {
		{ 0x1000, 0x3000 }, { 0x5000, 0x1000 }, { 0x4000, 0x1000 }, { 0x6000, 0x2000 }
	};
	struct ghvm_extents e = { .v = calloc(4, sizeof(*e.v)), .cap = 4 };

	assert_non_null(e.v);
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		ghvm_extents_add(&e, pages[i], PAGE);
	assert_int_equal(e.n, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(e.v[i].pa, wanted[i].pa);
		assert_int_equal(e.v[i].length, wanted[i].length);
	}
	free(e.v);
}

static void extents_at_the_top(void **state)
{
	struct ghvm_extent v[3];
	struct ghvm_extents e = { .v = v, .cap = 3 };

	ghvm_extents_add(&e, U64_MAX - 2 * PAGE + 1, PAGE);
	ghvm_extents_add(&e, U64_MAX - PAGE + 1, PAGE);
	assert_int_equal(e.n, 1);
	assert_int_equal(v[0].length, 2 * PAGE);
}

static void an_offset_is_found(void **state)
{
	struct ghvm_extent v[] = { { 0x10000, 2 * PAGE },
				   { 0x90000, PAGE },
				   { 0x40000, 3 * PAGE } };
	struct ghvm_extents e = { .v = v, .n = 3, .cap = 3 };
	static const u64 cases[][3] = {
		{ 0, 0, 0 },
		{ 1, 0, 1 },
		{ 2 * PAGE - 1, 0, 2 * PAGE - 1 },
		{ 2 * PAGE, 1, 0 },
		{ 3 * PAGE - 1, 1, PAGE - 1 },
		{ 3 * PAGE, 2, 0 },
		{ 6 * PAGE - 1, 2, 3 * PAGE - 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ghvm_cursor c = ghvm_extents_find(&e, cases[i][0]);

		assert_int_equal(c.i, cases[i][1]);
		assert_int_equal(c.within, cases[i][2]);
	}
}

/* However long its steps are, a cursor is where a search would be. */
static void a_cursor_follows_the_extents(void **state)
{
	struct ghvm_extent v[] = { { 0x10000, 2 * PAGE }, { 0x90000, PAGE }, { 0x40000, PAGE } };
	struct ghvm_extents e = { .v = v, .n = 3, .cap = 3 };

	for (u64 step = 1; step <= 2 * PAGE; step += 7) {
		struct ghvm_cursor c = ghvm_extents_find(&e, 0), there;
		u64 n;

		for (u64 offset = 0; offset < 4 * PAGE; offset += n) {
			there = ghvm_extents_find(&e, offset);
			assert_int_equal(c.i, there.i);
			assert_int_equal(c.within, there.within);
			n = v[c.i].length - c.within < step ? v[c.i].length - c.within : step;
			ghvm_cursor_advance(&c, &e, n);
		}
		assert_int_equal(c.i, 3);
	}
}

/* What a kernel may allocate and copy in one piece is INT_MAX bytes, and more is a warning. */
static void extents_end_below_int_max(void **state)
{
	u64 n = 0, cap = 0, room;

	while ((room = ghvm_extents_room(n, 64))) {
		assert_true(room >= n + 64);
		assert_true(room <= INT_MAX / sizeof(struct ghvm_extent));
		cap = room;
		n = cap - 63; /* as full as it may be before more is asked for */
	}
	assert_true(cap >= 1ULL << 25);
	assert_int_equal(ghvm_extents_room((1ULL << 26) - 33, 64), (1ULL << 27) - 2);
	assert_int_equal(ghvm_extents_room((1ULL << 26) - 32, 64), 0);
	assert_int_equal(ghvm_extents_room(1ULL << 40, 64), 0);
}

static void ranges_are_whole_pages_that_do_not_wrap(void **state)
{
	assert_true(ghvm_range_valid(0, PAGE, PAGE));
	assert_true(ghvm_range_valid(PAGE, 5 * PAGE, PAGE));
	assert_false(ghvm_range_valid(PAGE, 0, PAGE));
	assert_false(ghvm_range_valid(1, PAGE, PAGE));
	assert_false(ghvm_range_valid(PAGE, PAGE + 1, PAGE));
	assert_false(ghvm_range_valid(0, PAGE - 1, PAGE));
	assert_true(ghvm_range_valid(-3 * PAGE, 2 * PAGE, PAGE));
	assert_false(ghvm_range_valid(-PAGE, PAGE, PAGE));
	assert_false(ghvm_range_valid(-PAGE, 2 * PAGE, PAGE));
	assert_false(ghvm_range_valid(2 * PAGE, -PAGE, PAGE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_some_calls_are_made),
		cmocka_unit_test(virqs_are_shared_peripherals),
		cmocka_unit_test(grants_have_no_buffers),
		cmocka_unit_test(a_grant_is_call_and_capability),
		cmocka_unit_test(any_order_of_calls),
		cmocka_unit_test(pages_that_touch_are_one_extent),
		cmocka_unit_test(extents_at_the_top),
		cmocka_unit_test(an_offset_is_found),
		cmocka_unit_test(a_cursor_follows_the_extents),
		cmocka_unit_test(extents_end_below_int_max),
		cmocka_unit_test(ranges_are_whole_pages_that_do_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
