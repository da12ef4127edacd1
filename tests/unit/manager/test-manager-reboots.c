/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that reboots and reboots.
 */
#include "daemon/manager/vm/reboots.h"

#include "tests/unit/unit.h"

/* All in a row, each life of @ms. Return: the last answer, after @n of them. */
static int loop(struct reboots *r, uint64_t *now, unsigned int n, uint64_t ms)
{
	int pause = 0;

	for (unsigned int i = 0; i < n; i++) {
		reboots_began(r, *now);
		*now += ms;
		pause = reboots_again(r, *now);
		*now += pause > 0 ? (uint64_t)pause : 0;
	}
	return pause;
}

static void pauses_grow(void **state)
{
	static const int pauses[] = { 0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000 };
	struct reboots r = {};
	uint64_t now = 1000000;

	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++)
		assert_int_equal(loop(&r, &now, 1, 100), pauses[i]);
}

static void a_loop_ends(void **state)
{
	struct reboots r = {};
	uint64_t now = 5;

	assert_int_equal(loop(&r, &now, REBOOTS_HASTY_MAX, REBOOTS_HASTY_MS - 1), REBOOTS_LAST_MS);
	assert_int_equal(loop(&r, &now, 1, 0), -1);
	assert_int_equal(r.n, REBOOTS_HASTY_MAX + 1);
}

/* However often: for updates, or each night. */
static void a_guest_that_works_may_reboot(void **state)
{
	struct reboots r = {};
	uint64_t now = 5;

	assert_int_equal(loop(&r, &now, 10000, REBOOTS_HASTY_MS), 0);
	assert_int_equal(loop(&r, &now, REBOOTS_HASTY_MAX, 0), REBOOTS_LAST_MS);
	assert_int_equal(loop(&r, &now, 1, REBOOTS_HASTY_MS), 0); /* it is forgiven */
	assert_int_equal(loop(&r, &now, 1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_grow),
		cmocka_unit_test(a_loop_ends),
		cmocka_unit_test(a_guest_that_works_may_reboot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
