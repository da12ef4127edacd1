/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM's small heap: silence or NOMEM, where the real one was seen to run out (abi K.2).
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/model.h"

#include <string.h>

#define PIECES_MAX 12000 /* more than fit, and RAM has so many pages twice */

/**
 * struct row - of the table
 * @per_message: entries
 * @at: about so many are accepted
 * @status: of the first that is not
 */
struct row {
	bool production;
	unsigned int per_message;
	unsigned int at;
	uint32_t status;
};

static struct model_counts counts(const struct bench *b)
{
	struct model_counts n;

	model_counts(b->m, &n);
	return n;
}

/* One more message of the one parcel; no two pages touch each other. */
static uint32_t send(struct bench *b, uint16_t vmid, unsigned int done, unsigned int n)
{
	struct bench_range v[512];

	for (unsigned int i = 0; i < n; i++)
		v[i] = (struct bench_range){ BENCH_RAM + (done + i) * 2 * GHVM_PAGE, GHVM_PAGE };
	if (!done)
		return bench_create(b, BENCH_LEND, vmid, 7, 0, BENCH_APPEND, v, n);
	return bench_append(b, 0, false, v, n);
}

static void assert_row(const struct row *row)
{
	_cleanup_(bench_freep) struct bench *b = NULL;
	struct model_config config = bench_config();
	unsigned int done = 0;
	uint32_t status = 0;
	uint16_t vmid;
	uint64_t heap;

	config.production = row->production;
	b = bench_new(&config);
	vmid = bench_allocate(b);
	heap = counts(b).heap_used;
	while (!status && done < PIECES_MAX) {
		status = send(b, vmid, done, row->per_message);
		done += status ? 0 : row->per_message;
	}
	print_message("%s, %u a message: %u entries, then 0x%x\n",
		      row->production ? "production" : "debug", row->per_message, done, status);
	assert_int_equal(status, row->status);
	assert_in_range(done, row->at - row->at / 10, row->at + row->at / 10);

	/* RM lives, what it refused was not taken, and the half-built parcel comes back */
	assert_int_equal(counts(b).entries, done);
	assert_int_equal(counts(b).lent_pages, done);
	assert_int_equal(bench_reclaim(b, 0, true), 0);
	assert_int_equal(counts(b).entries, 0);
	assert_int_equal(counts(b).lent_pages, 0);
	assert_int_equal(counts(b).heap_used, heap);
	assert_int_equal(send(b, vmid, 0, row->per_message), 0);
}

static void ends_where_the_real_one_did(void **state)
{
	static const struct row rows[] = {
		{ false, 512, 5120, BENCH_SILENCE }, { true, 512, 7168, BENCH_SILENCE },
		{ false, 64, 7800, NOMEM },	     { false, 13, 8250, NOMEM },
		{ true, 13, 11000, NOMEM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_where_the_real_one_did),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
