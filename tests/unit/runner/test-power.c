/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The power key on its time line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/runner/power.h"

struct key {
	unsigned int presses;
	bool down;
};

static void on_key(void *data, bool down)
{
	struct key *k = data;

	assert_true(k->down != down);
	k->down = down;
	k->presses += down;
}

static void nothing_asked_nothing_done(void **state)
{
	struct key k = {};
	struct power p;

	power_init(&p, on_key, &k);
	assert_int_equal(power_next(&p), POWER_NEVER);
	assert_false(power_tick(&p, 0));
	assert_false(power_tick(&p, UINT64_MAX));
	assert_int_equal(k.presses, 0);
}

static void presses_and_releases_until_patience_is_over(void **state)
{
	struct key k = {};
	struct power p;
	uint64_t now = 1000, until;

	power_init(&p, on_key, &k);
	power_ask(&p, now, 35000);
	until = now + 35000;
	assert_int_equal(power_next(&p), now);
	assert_false(power_tick(&p, now));
	assert_true(k.down);
	assert_int_equal(power_next(&p), now + POWER_HOLD_MS);
	assert_false(power_tick(&p, now + POWER_HOLD_MS - 1));
	assert_true(k.down);
	assert_false(power_tick(&p, now + POWER_HOLD_MS));
	assert_false(k.down);
	assert_int_equal(power_next(&p), now + POWER_AGAIN_MS);
	while ((now = power_next(&p)) < until)
		assert_false(power_tick(&p, now));
	assert_int_equal(k.presses, 4);
	assert_int_equal(now, until);
	assert_true(power_tick(&p, now));
}

static void asking_again_changes_nothing(void **state)
{
	struct key k = {};
	struct power p;

	power_init(&p, on_key, &k);
	power_ask(&p, 0, 1000);
	assert_false(power_tick(&p, 0));
	power_ask(&p, 500, 1000000);
	assert_true(power_tick(&p, 1000));
	assert_int_equal(k.presses, 1);
}

static void no_patience_and_endless_patience(void **state)
{
	struct key k = {};
	struct power p;

	power_init(&p, on_key, &k);
	power_ask(&p, 7, 0);
	assert_true(power_tick(&p, 7));
	assert_int_equal(k.presses, 0);
	power_init(&p, on_key, &k);
	power_ask(&p, 7, UINT64_MAX);
	assert_false(power_tick(&p, 7));
	assert_int_equal(k.presses, 1);
	assert_int_equal(p.deadline, POWER_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_asked_nothing_done),
		cmocka_unit_test(presses_and_releases_until_patience_is_over),
		cmocka_unit_test(asking_again_changes_nothing),
		cmocka_unit_test(no_patience_and_endless_patience),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
