/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest-physical map: edges, each refusal once, a million random operations against a
 * naive list, and many threads that want the same label.
 */
#include "libghvm/memory/region-map.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define LAST_IPA ((1ULL << 36) - 1)

static struct ghvm_region_table *table(uint64_t last)
{
	struct ghvm_region_table *t = NULL;

	assert_int_equal(ghvm_region_table_new(last, &t), 0);
	return t;
}

static int add(struct ghvm_region_table *t, uint32_t label, uint64_t ipa, uint64_t size)
{
	const struct ghvm_region_request q = { .ipa = ipa, .size = size, .label = label };
	int r = ghvm_region_add_begin(t, &q, NULL);

	if (r == 0)
		ghvm_region_add_end(t, label);
	return r;
}

static void refuses_what_no_guest_can_have(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table(LAST_IPA);

	assert_int_equal(add(t, 1, 0x1000, 0), -EINVAL);
	assert_int_equal(add(t, 1, 0x1001, 0x1000), -EINVAL);
	assert_int_equal(add(t, 1, 0x1000, 0x1001), -EINVAL);
	assert_int_equal(add(t, 1, LAST_IPA + 1, 0x1000), -EOVERFLOW);
	assert_int_equal(add(t, 1, LAST_IPA - 0xfff, 0x2000), -EOVERFLOW);
	assert_int_equal(add(t, 1, 0x1000, UINT64_MAX & ~0xfffULL), -EOVERFLOW);
	assert_int_equal(ghvm_region_count(t), 0);
	assert_int_equal(add(t, 1, LAST_IPA - 0xfff, 0x1000), 0);
	assert_int_equal(add(t, 2, 0, 0x1000), 0);
}

static void ends_at_the_top_of_64_bits(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table(UINT64_MAX);
	struct ghvm_region r;

	assert_int_equal(add(t, 1, ~0xfffULL, 0x2000), -EOVERFLOW);
	assert_int_equal(add(t, 1, ~0xfffULL, 0x1000), 0);
	assert_int_equal(ghvm_region_find_ipa(t, UINT64_MAX, &r), 0);
	assert_int_equal(r.last, UINT64_MAX);
	assert_int_equal(add(t, 2, 0x1000, UINT64_MAX - 0x1fff), 0);
	assert_int_equal(add(t, 3, 0, 0x1000), 0);
}

static void refuses_overlap_at_each_edge(void **state)
{
	static const struct {
		uint64_t ipa, size;
		int r;
	} cases[] = {
		{ 0x0000, 0x10000, 0 },	       /* ends just before */
		{ 0x0000, 0x11000, -EEXIST },  /* its first page */
		{ 0x10000, 0x1000, -EEXIST },  /* inside */
		{ 0x10000, 0x4000, -EEXIST },  /* the same */
		{ 0x0000, 0x100000, -EEXIST }, /* around */
		{ 0x13000, 0x1000, -EEXIST },  /* its last page */
		{ 0x14000, 0x1000, 0 },	       /* starts just after */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table(LAST_IPA);

		assert_int_equal(add(t, 1, 0x10000, 0x4000), 0);
		assert_int_equal(add(t, 2, cases[i].ipa, cases[i].size), cases[i].r);
	}
}

static void says_what_is_in_the_way(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table(LAST_IPA);
	const struct ghvm_region_request q = { .ipa = 0x11000, .size = 0x1000, .label = 2 };
	struct ghvm_error err = {};

	assert_int_equal(add(t, 7, 0x10000, 0x4000), 0);
	assert_int_equal(ghvm_region_add_begin(t, &q, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "region 7"));
	assert_int_equal(ghvm_region_remove_begin(t, 3, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "region 3"));
}

static void is_seen_only_while_mapped(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table(LAST_IPA);
	const struct ghvm_region_request q = { .ipa = 0x10000, .size = 0x1000, .label = 1 };
	struct ghvm_region r;

	assert_int_equal(ghvm_region_add_begin(t, &q, NULL), 0);
	assert_int_equal(ghvm_region_find_label(t, 1, &r), -ENOENT);
	assert_int_equal(ghvm_region_find_ipa(t, 0x10000, &r), -ENOENT);
	assert_int_equal(ghvm_region_add_begin(t, &q, NULL), -EEXIST);
	assert_int_equal(ghvm_region_remove_begin(t, 1, NULL, NULL), -EBUSY);

	ghvm_region_add_end(t, 1);
	assert_int_equal(ghvm_region_find_label(t, 1, &r), 0);
	assert_int_equal(r.first, 0x10000);
	assert_int_equal(ghvm_region_find_ipa(t, 0x10fff, &r), 0);
	assert_int_equal(ghvm_region_find_ipa(t, 0x11000, &r), -ENOENT);
	assert_int_equal(ghvm_region_find_ipa(t, 0xffff, &r), -ENOENT);

	assert_int_equal(ghvm_region_remove_begin(t, 1, &r, NULL), 0);
	assert_int_equal(r.label, 1);
	assert_int_equal(ghvm_region_find_label(t, 1, &r), -ENOENT);
	assert_int_equal(ghvm_region_remove_begin(t, 1, NULL, NULL), -EBUSY);
	assert_int_equal(add(t, 2, 0x10000, 0x1000), -EEXIST);
	ghvm_region_remove_cancel(t, 1);
	assert_int_equal(ghvm_region_find_label(t, 1, &r), 0);

	assert_int_equal(ghvm_region_remove_begin(t, 1, NULL, NULL), 0);
	ghvm_region_remove_end(t, 1);
	assert_int_equal(ghvm_region_remove_begin(t, 1, NULL, NULL), -ENOENT);
	assert_int_equal(ghvm_region_add_begin(t, &q, NULL), 0);
	ghvm_region_add_cancel(t, 1);
	assert_int_equal(ghvm_region_count(t), 0);
}

static void lists_all_whatever_their_state(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table(LAST_IPA);
	struct ghvm_region_request q = { .size = 0x1000 };
	struct ghvm_region v[4];

	for (uint32_t label = 1; label <= 3; label++) {
		q.label = label;
		q.ipa = (4 - label) * 0x1000ULL; /* falling */
		assert_int_equal(ghvm_region_add_begin(t, &q, NULL), 0);
	}
	ghvm_region_add_end(t, 2);
	ghvm_region_add_end(t, 3);
	assert_int_equal(ghvm_region_remove_begin(t, 3, NULL, NULL), 0);
	assert_int_equal(ghvm_region_list(t, v, ARRAY_SIZE(v)), 3);
	assert_int_equal(v[0].label, 3);
	assert_int_equal(v[0].state, GHVM_REGION_REMOVING);
	assert_int_equal(v[1].label, 2);
	assert_int_equal(v[1].state, GHVM_REGION_MAPPED);
	assert_int_equal(v[2].label, 1);
	assert_int_equal(v[2].state, GHVM_REGION_RESERVED);
	v[2].label = 77;
	assert_int_equal(ghvm_region_list(t, v, 2), 2);
	assert_int_equal(v[2].label, 77); /* not more than there is room for */
}

static void map_translates_shared_memory_only(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table(LAST_IPA);
	_cleanup_(freep) struct ghvm_region_map *map = NULL;
	uint8_t host[0x2000], *p = NULL;
	struct ghvm_region_request q = {
		.ipa = 0x10000, .size = 0x2000, .label = 1, .hva = host, .kind = GHVM_REGION_SHARED
	};

	assert_int_equal(ghvm_region_add_begin(t, &q, NULL), 0);
	ghvm_region_add_end(t, 1);
	q = (struct ghvm_region_request){ .ipa = 0x12000, .size = 0x1000, .label = 2, .hva = host };
	assert_int_equal(ghvm_region_add_begin(t, &q, NULL), 0);
	ghvm_region_add_end(t, 2);
	assert_int_equal(ghvm_region_map_new(t, &map), 0);
	assert_int_equal(map->n, 2);

	assert_int_equal(ghvm_region_map_hva(map, 0x10000, 0x2000, &p), 0);
	assert_ptr_equal(p, host);
	assert_int_equal(ghvm_region_map_hva(map, 0x11fff, 1, &p), 0);
	assert_ptr_equal(p, host + 0x1fff);
	assert_int_equal(ghvm_region_map_hva(map, 0x11fff, 2, &p), -EFAULT);
	assert_int_equal(ghvm_region_map_hva(map, 0x11fff, UINT64_MAX, &p), -EFAULT);
	assert_int_equal(ghvm_region_map_hva(map, 0x10000, 0, &p), -EFAULT);
	assert_int_equal(ghvm_region_map_hva(map, 0xffff, 1, &p), -EFAULT);
	assert_int_equal(ghvm_region_map_hva(map, 0x12000, 1, &p), -EFAULT); /* lent */
	assert_int_equal(ghvm_region_map_hva(map, 0x13000, 1, &p), -EFAULT);
	assert_ptr_equal(p, host + 0x1fff); /* untouched on failure */
}

/* ---- a million random operations ---- */

#define LABELS 24
#define PAGES 64
#define OPERATIONS 1000000

struct naive {
	bool used;
	enum ghvm_region_state state;
	uint64_t first, last;
};

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static int naive_add(struct naive v[LABELS], uint32_t label, uint64_t ipa, uint64_t size)
{
	if (!size || ipa % GHVM_PAGE || size % GHVM_PAGE)
		return -EINVAL;
	if (ipa + size > PAGES * GHVM_PAGE)
		return -EOVERFLOW;
	for (size_t i = 0; i < LABELS; i++)
		if (v[i].used && (i == label || (ipa <= v[i].last && ipa + size > v[i].first)))
			return -EEXIST;
	v[label] = (struct naive){ .used = true, .first = ipa, .last = ipa + size - 1 };
	return 0;
}

static int naive_remove(struct naive *v)
{
	if (!v->used)
		return -ENOENT;
	if (v->state != GHVM_REGION_MAPPED)
		return -EBUSY;
	v->state = GHVM_REGION_REMOVING;
	return 0;
}

static int naive_find(const struct naive v[LABELS], uint64_t ipa)
{
	for (size_t i = 0; i < LABELS; i++)
		if (v[i].used && v[i].state == GHVM_REGION_MAPPED && ipa >= v[i].first &&
		    ipa <= v[i].last)
			return (int)i;
	return -ENOENT;
}

static void try_add(struct ghvm_region_table *t, struct naive v[LABELS], uint32_t label,
		    uint64_t rnd)
{
	struct ghvm_region_request q = { .ipa = (rnd % (PAGES + 2)) * GHVM_PAGE,
					 .size = ((rnd >> 8) % 6) * GHVM_PAGE,
					 .label = label };

	if ((rnd >> 16) % 64 == 0)
		q.ipa++;
	if ((rnd >> 24) % 64 == 0)
		q.size++;
	assert_int_equal(ghvm_region_add_begin(t, &q, NULL), naive_add(v, label, q.ipa, q.size));
}

/* Finish what was begun with @label, one way or the other. */
static void finish(struct ghvm_region_table *t, struct naive *v, uint32_t label, bool end)
{
	bool adding = v->state == GHVM_REGION_RESERVED;

	if (!v->used || v->state == GHVM_REGION_MAPPED)
		return;
	if (adding && end)
		ghvm_region_add_end(t, label);
	else if (adding)
		ghvm_region_add_cancel(t, label);
	else if (end)
		ghvm_region_remove_end(t, label);
	else
		ghvm_region_remove_cancel(t, label);
	v->used = adding == end;
	v->state = GHVM_REGION_MAPPED;
}

static void try_find(const struct ghvm_region_table *t, const struct naive v[LABELS],
		     uint32_t label, uint64_t ipa)
{
	bool mapped = v[label].used && v[label].state == GHVM_REGION_MAPPED;
	struct ghvm_region r = { .label = LABELS };
	int want = naive_find(v, ipa);

	assert_int_equal(ghvm_region_find_ipa(t, ipa, &r), want < 0 ? want : 0);
	assert_int_equal(r.label, want < 0 ? LABELS : want);
	assert_int_equal(ghvm_region_find_label(t, label, &r), mapped ? 0 : -ENOENT);
	if (mapped)
		assert_int_equal(r.first, v[label].first);
}

static void agrees_with_a_naive_list(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t =
		table(PAGES * GHVM_PAGE - 1);
	struct naive v[LABELS] = {};
	uint64_t seed = 0x9e3779b97f4a7c15;
	size_t used = 0;

	for (unsigned int i = 0; i < OPERATIONS; i++) {
		uint64_t rnd = next_random(&seed);
		uint32_t label = (uint32_t)((rnd >> 32) % LABELS);

		switch ((rnd >> 48) % 4) {
		case 0:
			try_add(t, v, label, rnd);
			break;
		case 1:
			assert_int_equal(ghvm_region_remove_begin(t, label, NULL, NULL),
					 naive_remove(&v[label]));
			break;
		case 2:
			finish(t, &v[label], label, rnd & 1 << 20);
			break;
		default:
			try_find(t, v, label, (rnd >> 8) % (PAGES * GHVM_PAGE));
		}
	}
	for (size_t i = 0; i < LABELS; i++)
		used += v[i].used;
	assert_int_equal(ghvm_region_count(t), used);
	print_message("%u operations\n", OPERATIONS);
}

/* ---- many threads, one label ---- */

#define THREADS 8
#define ROUNDS 4000

struct race {
	struct ghvm_region_table *t;
	atomic_int owners;   /* threads between a begin and its end */
	atomic_uint clashes; /* two changes at a time */
	atomic_uint changes;
	atomic_uint refusals;
};

static void own_it(struct race *race)
{
	if (atomic_fetch_add(&race->owners, 1) != 0)
		atomic_fetch_add(&race->clashes, 1);
	atomic_fetch_add(&race->changes, 1);
	atomic_fetch_sub(&race->owners, 1);
}

static void *contend(void *data)
{
	const struct ghvm_region_request q = { .ipa = 0x1000, .size = 0x1000, .label = 5 };
	struct race *race = data;
	struct ghvm_region seen;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (ghvm_region_add_begin(race->t, &q, NULL) == 0) {
			own_it(race);
			if (i & 1)
				ghvm_region_add_end(race->t, 5);
			else
				ghvm_region_add_cancel(race->t, 5);
		} else if (ghvm_region_remove_begin(race->t, 5, &seen, NULL) == 0) {
			own_it(race);
			if (i & 2)
				ghvm_region_remove_end(race->t, 5);
			else
				ghvm_region_remove_cancel(race->t, 5);
		} else {
			atomic_fetch_add(&race->refusals, 1);
		}
		(void)ghvm_region_find_ipa(race->t, 0x1fff, &seen); /* either answer is right */
	}
	return NULL;
}

static void changes_of_one_label_exclude_each_other(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table(LAST_IPA);
	struct race race = { .t = t };
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, contend, &race), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(race.clashes, 0);
	assert_true(ghvm_region_count(t) <= 1);
	assert_int_equal(race.changes + race.refusals, THREADS * ROUNDS);
	assert_true(race.changes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_no_guest_can_have),
		cmocka_unit_test(ends_at_the_top_of_64_bits),
		cmocka_unit_test(refuses_overlap_at_each_edge),
		cmocka_unit_test(says_what_is_in_the_way),
		cmocka_unit_test(is_seen_only_while_mapped),
		cmocka_unit_test(lists_all_whatever_their_state),
		cmocka_unit_test(map_translates_shared_memory_only),
		cmocka_unit_test(agrees_with_a_naive_list),
		cmocka_unit_test(changes_of_one_label_exclude_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
