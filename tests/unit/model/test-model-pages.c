/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of the model: blocks that are not split, RM's small heap, and a shadow of it all. */
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/model.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096ULL
#define MIB (1ULL << 20)
#define GUEST 0x80
#define HLOS 3

static const struct bench_range one_page = { BENCH_RAM, PAGE };

/* abi K.3: only what was split before really goes. */
static void an_unsplit_block_stays_mapped(void **state)
{
	struct model_config config = bench_config();
	_cleanup_(bench_freep) struct bench *b = NULL;
	struct bench_range r = { BENCH_RAM + 5 * PAGE, PAGE };
	struct bench_range block = { BENCH_RAM + 4 * MIB, 2 * MIB };
	uint16_t vmid;

	config.presplit_quirk = true;
	b = bench_new(&config);
	vmid = bench_allocate(b);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &r, 1), OK);
	assert_int_equal(bench_rights_at(b, r.ipa), 7);
	assert_int_equal(model_page_owner(b->m, r.ipa), 1);
	assert_int_equal(bench_reclaim(b, 0, false), OK);

	assert_int_equal(bench_create(b, BENCH_SHARE, vmid, 7, 0, 0, &r, 1), OK);
	assert_int_equal(bench_reclaim(b, 1, false), OK);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &r, 1), OK);
	assert_int_equal(bench_rights_at(b, r.ipa), 0);

	/* the gigabyte is split now: a whole block goes, part of another one does not */
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &block, 1), OK);
	assert_int_equal(bench_rights_at(b, block.ipa), 0);
	r.ipa = BENCH_RAM + 8 * MIB + PAGE;
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &r, 1), OK);
	assert_int_equal(bench_rights_at(b, r.ipa), 7);
}

/* Parcels of one-page entries in messages of @per, until RM does not say OK; entries so far. */
static unsigned int fill_heap(struct bench *b, uint16_t vmid, unsigned int per,
			      uint32_t *ret_status)
{
	static struct bench_range r[512];
	uint64_t pa = BENCH_RAM;
	struct model_counts n;
	bool first = true;

	for (;;) {
		for (unsigned int i = 0; i < per; i++, pa += 2 * PAGE)
			r[i] = (struct bench_range){ pa, PAGE };
		if (first)
			*ret_status = bench_create(b, BENCH_LEND, vmid, 7, 0, BENCH_APPEND, r, per);
		else
			*ret_status = bench_append(b, 0, false, r, per);
		first = false;
		if (*ret_status != OK)
			break;
	}
	model_counts(b->m, &n);
	return n.entries;
}

/* abi K.2: silence at 5,120 in big messages, NOMEM at 7,800 in middling ones. */
static void the_heap_ends_as_the_real_one(void **state)
{
	static const struct {
		unsigned int per, least, most;
		uint32_t status;
		bool production;
	} cases[] = {
		{ 512, 4608, 5632, BENCH_SILENCE, false },
		{ 64, 7500, 8000, NOMEM, false },
		{ 13, 7900, 8500, NOMEM, false },
		{ 512, 6656, 7680, BENCH_SILENCE, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct model_config config = bench_config();
		_cleanup_(bench_freep) struct bench *b = NULL;
		uint32_t status;
		uint16_t vmid;
		uint64_t heap;

		config.production = cases[i].production;
		b = bench_new(&config);
		vmid = bench_allocate(b);
		heap = bench_heap_used(b);
		assert_in_range(fill_heap(b, vmid, cases[i].per, &status), cases[i].least,
				cases[i].most);
		assert_int_equal(status, cases[i].status);
		/* alive, and the half-built parcel can be taken back */
		assert_int_equal(bench_reclaim(b, 0, false), OK);
		bench_assert_all_back(b, heap);
	}
}

static void orphans_outlive_their_vm(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	assert_int_equal(bench_allocate(b), GUEST);
	assert_int_equal(bench_create(b, BENCH_LEND, GUEST, 7, 0, 0, &one_page, 1), OK);
	assert_int_equal(bench_rm_vm(b, 0x56000002, GUEST), OK);
	assert_int_equal(bench_allocate(b), GUEST);
	assert_int_equal(model_page_owner(b->m, BENCH_RAM), 1);
	assert_int_equal(bench_reclaim(b, 0, false), OK);
}

/* A shadow of who has which page, against what the model did. */
static void any_sequence_keeps_every_page(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint64_t heap = bench_heap_used(b);
	uint8_t shadow[256] = { 0 };
	struct {
		uint32_t handle;
		struct bench_range r[4];
		unsigned int n;
	} live[64];
	unsigned int n_live = 0;

	srandom(1);
	for (int step = 0; step < 3000; step++) {
		unsigned int n = 1 + (unsigned int)random() % 4, i;
		struct bench_range r[4];
		uint8_t trial[256];
		bool fits = n_live < 64;

		if (n_live && random() % 2) {
			i = (unsigned int)random() % n_live;
			assert_int_equal(bench_reclaim(b, live[i].handle, false), OK);
			for (unsigned int j = 0; j < live[i].n; j++)
				memset(shadow + (live[i].r[j].ipa - BENCH_RAM) / PAGE, 0,
				       live[i].r[j].size / PAGE);
			live[i] = live[--n_live];
			continue;
		}
		memcpy(trial, shadow, sizeof(trial));
		for (i = 0; i < n; i++) {
			unsigned int page = (unsigned int)random() % 248;

			r[i] = (struct bench_range){ BENCH_RAM + page * PAGE,
						     (1 + (uint64_t)random() % 8) * PAGE };
			for (unsigned int j = 0; j < r[i].size / PAGE; j++) {
				fits &= !trial[page + j];
				trial[page + j] = 1;
			}
		}
		if (!fits) {
			assert_int_not_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, r, n), OK);
		} else {
			assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, r, n), OK);
			memcpy(shadow, trial, sizeof(shadow));
			live[n_live].handle = bench_reply_u32(b, 0);
			memcpy(live[n_live].r, r, sizeof(r));
			live[n_live++].n = n;
		}
		for (i = 0; i < 256; i++) {
			assert_int_equal(b->rights[i], shadow[i] ? 0 : 7);
			assert_int_equal(model_page_owner(b->m, BENCH_RAM + i * PAGE), shadow[i]);
		}
	}
	while (n_live)
		assert_int_equal(bench_reclaim(b, live[--n_live].handle, false), OK);
	bench_assert_all_back(b, heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unsplit_block_stays_mapped),
		cmocka_unit_test(the_heap_ends_as_the_real_one),
		cmocka_unit_test(orphans_outlive_their_vm),
		cmocka_unit_test(any_sequence_keeps_every_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
