/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A resource manager that lies once, in each reply and in each way: done or not done, with each kind of
 * status; with each kind of number in each word of the reply; with another length; not answered at all.
 * The process lives on. test-lies-heir has processes that die.
 *
 * What is lied about is in tests/fixtures/lies: the kinds in lie.c, the lives in scenario.c, and in point.c
 * what has to be so afterwards.
 */
#include "libghvm/base/bits.h"
#include "tests/fixtures/lies/point.h"
#include "tests/unit/unit.h"

static void sweep(const struct scenario *s, struct liar *liar)
{
	static struct answers truth;
	static struct lie lies[LIES_MAX];
	struct tally t = {};
	unsigned long calls;

	points_learn(s, &truth, &calls, liar);
	for (unsigned int nth = 0; nth < truth.n; nth++) {
		size_t n = liar_lies(liar, &truth.v[nth], nth, lies);

		for (size_t i = 0; i < n; i++)
			point_lie(s, &lies[i], &truth.v[nth], 0, &t);
	}
	print_message("%s: %zu replies, %u points, noticed in %u, RM dead in %u\n", s->what,
		      truth.n, t.points, t.noticed, t.rm_dead);
	assert_in_range(t.points, 500, UINT32_MAX);
}

static void a_lie_and_it_lives_on(void **state)
{
	struct liar liar;

	liar_init(&liar);
	for (size_t i = 0; i < n_scenarios; i++)
		sweep(&scenarios[i], &liar);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_lie_and_it_lives_on) };
	int failed;

	points_begin();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	points_end();
	return failed;
}
