/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A resource manager that lies once, as in test-lies, and processes that die: soon after the lie, so that the
 * next one has only tags; or before it, so that the next one is lied to. Of all lies every so many-th is told, by turns.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/rm-abi.h"
#include "tests/fixtures/lies/point.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static struct answers truth;
static struct lie lies[LIES_MAX];

/* GHVM_LIES: each of them */
static unsigned int stride(unsigned int usual)
{
	return getenv("GHVM_LIES") ? 1 : usual;
}

static void print_tally(const struct scenario *s, const struct tally *t)
{
	print_message("%s: %u points, noticed in %u, RM dead in %u\n", s->what, t->points,
		      t->noticed, t->rm_dead);
	assert_in_range(t->points, 100, UINT32_MAX);
}

/* ---- it dies soon ---- */

static void sweep_deaths(const struct scenario *s, struct liar *liar, unsigned int step)
{
	/* Before it has noticed, and when it has and was about to do something about it. */
	static const unsigned int after[] = { 1, 2, 3, 5, 9 };
	struct tally t = {};
	unsigned long calls;
	unsigned int turn = 0;

	points_learn(s, &truth, &calls, liar);
	for (unsigned int nth = 0; nth < truth.n; nth++) {
		size_t n = liar_lies(liar, &truth.v[nth], nth, lies) * ARRAY_SIZE(after);

		for (size_t i = 0; i < n; i++)
			if (turn++ % step == 0)
				point_lie(s, &lies[i / ARRAY_SIZE(after)], &truth.v[nth],
					  after[i % ARRAY_SIZE(after)], &t);
	}
	print_tally(s, &t);
}

static void a_lie_and_it_dies(void **state)
{
	struct liar liar;

	liar_init(&liar);
	for (size_t i = 0; i < n_scenarios; i++)
		if (!scenarios[i].has_guest)
			sweep_deaths(&scenarios[i], &liar, stride(17));
}

/* ---- the next one is lied to ---- */

#define ALIKE 16

/* A process that begins asks for the state of many VMIDs that no VM has. */
static bool is_alike(unsigned int nth)
{
	const struct answer *a = &truth.v[nth];

	return nth % ALIKE && a->id == GHVM_RM_VM_GET_STATE && a[-1].id == a->id &&
	       a[-1].len == a->len && !memcmp(a[-1].bytes, a->bytes, a->len);
}

static void sweep_death_at(const struct scenario *s, struct liar *liar, unsigned long at,
			   unsigned int step, struct tally *t)
{
	static unsigned int turn;

	points_learn_heir(s, at, &truth);
	for (unsigned int nth = 0; nth < truth.n; nth++) {
		size_t n = is_alike(nth) ? 0 : liar_lies(liar, &truth.v[nth], nth, lies);

		for (size_t i = 0; i < n; i++)
			if (turn++ % step == 0)
				point_lie_to_heir(s, at, &lies[i], &truth.v[nth], t);
	}
}

static void sweep_heirs(const struct scenario *s, struct liar *liar)
{
	struct tally t = {};
	unsigned long calls;

	points_learn(s, &truth, &calls, liar);
	for (unsigned long at = 1; at <= calls; at += stride(7))
		sweep_death_at(s, liar, at, stride(29), &t);
	print_tally(s, &t);
}

static void it_dies_and_the_next_one_is_lied_to(void **state)
{
	struct liar liar;

	liar_init(&liar);
	for (size_t i = 0; i < n_scenarios; i++)
		if (!scenarios[i].has_guest)
			sweep_heirs(&scenarios[i], &liar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lie_and_it_dies),
		cmocka_unit_test(it_dies_and_the_next_one_is_lied_to),
	};
	int failed;

	points_begin();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	points_end();
	return failed;
}
