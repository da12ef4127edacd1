/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Split rings: what a driver offers comes and goes back, and what none writes is refused. */
#include "daemon/runner/virtio/ring.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/virtio/driver.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/**
 * struct bench - a guest, and a ring that it has set up
 */
struct bench {
	struct driver driver;
	struct ring ring;
	struct ring_chain chain;
	struct ghvm_error err;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	const struct ring_setup setup = driver_setup();

	driver_init(&b->driver);
	assert_int_equal(ring_init(&setup, 8, &b->driver.dma, &b->ring, NULL), 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	driver_done(&b->driver);
	free(b);
	return 0;
}

static int take(struct bench *b)
{
	return ring_take(&b->ring, &b->driver.dma, &b->chain, &b->err);
}

static void a_chain_comes_and_goes_back(void **state)
{
	struct bench *b = *state;

	assert_int_equal(take(b), 0);
	driver_describe(&b->driver, 3, DRIVER_BUFFERS, 100, DRIVER_NEXT, 5);
	driver_describe(&b->driver, 5, DRIVER_BUFFERS + 200, 50, DRIVER_WRITE | DRIVER_NEXT, 1);
	driver_describe(&b->driver, 1, DRIVER_RAM_END - 7, 7, DRIVER_WRITE, 0xffff);
	driver_offer(&b->driver, 3);
	memcpy(driver_at(&b->driver, DRIVER_BUFFERS), "question", 8);
	assert_int_equal(take(b), 1);
	assert_int_equal(b->chain.head, 3);
	assert_int_equal(b->chain.n, 3);
	assert_memory_equal(b->chain.buffers[0].at, "question", 8);
	assert_int_equal(b->chain.buffers[0].size, 100);
	assert_false(b->chain.buffers[0].writable);
	assert_true(b->chain.buffers[1].writable);
	assert_int_equal(b->chain.buffers[2].size, 7);
	b->chain.buffers[2].at[6] = '!'; /* the last byte of RAM */
	assert_int_equal(*driver_at(&b->driver, DRIVER_RAM_END - 1), '!');
	assert_true(ring_give(&b->ring, b->chain.head, 57));
	assert_int_equal(driver_used_index(&b->driver), 1);
	assert_int_equal(driver_used_head(&b->driver, 0), 3);
	assert_int_equal(driver_used_size(&b->driver, 0), 57);
	assert_int_equal(take(b), 0);
}

/* Indexes have 16 bits and go round; the rings have 8 places. */
static void goes_round_and_round(void **state)
{
	struct bench *b = *state;

	driver_describe(&b->driver, 2, DRIVER_BUFFERS, 4, DRIVER_WRITE, 0);
	driver_describe(&b->driver, 7, DRIVER_BUFFERS, 8, DRIVER_WRITE, 0);
	for (uint32_t i = 0; i < 3 * 65536; i++) {
		const uint16_t head = i % 3 ? 2 : 7;

		driver_offer(&b->driver, head);
		assert_int_equal(take(b), 1);
		assert_int_equal(b->chain.head, head);
		assert_true(ring_give(&b->ring, head, i));
		assert_int_equal(driver_used_index(&b->driver), (uint16_t)(i + 1));
		assert_int_equal(driver_used_head(&b->driver, (uint16_t)i), head);
		assert_int_equal(driver_used_size(&b->driver, (uint16_t)i), i);
	}
}

static void a_whole_ring_is_taken(void **state)
{
	struct bench *b = *state;

	for (uint16_t i = 0; i < DRIVER_RING_SIZE; i++) {
		driver_describe(&b->driver, i, DRIVER_BUFFERS, 4, 0, 0);
		driver_offer(&b->driver, i);
	}
	for (uint16_t i = 0; i < DRIVER_RING_SIZE; i++) {
		assert_int_equal(take(b), 1);
		assert_int_equal(b->chain.head, i);
	}
	assert_int_equal(take(b), 0);
}

static void the_longest_chain_is_taken(void **state)
{
	struct bench *b = *state;

	for (uint16_t i = 0; i < DRIVER_RING_SIZE; i++)
		driver_describe(&b->driver, i, DRIVER_BUFFERS, 1,
				i < DRIVER_RING_SIZE - 1 ? DRIVER_NEXT : 0, i + 1);
	driver_offer(&b->driver, 0);
	assert_int_equal(take(b), 1);
	assert_int_equal(b->chain.n, DRIVER_RING_SIZE);
}

static void a_driver_may_want_no_interrupt(void **state)
{
	struct bench *b = *state;

	driver_want_no_interrupt(&b->driver);
	assert_false(ring_give(&b->ring, 0, 0));
	assert_int_equal(driver_used_index(&b->driver), 1);
}

static void a_buffer_may_be_empty(void **state)
{
	struct bench *b = *state;

	driver_describe(&b->driver, 0, UINT64_MAX, 0, DRIVER_WRITE, 0);
	driver_offer(&b->driver, 0);
	assert_int_equal(take(b), 1);
	assert_int_equal(b->chain.buffers[0].size, 0);
}

/* ---- hostile drivers ---- */

static void assert_refused(struct bench *b, const char *why)
{
	assert_int_equal(take(b), -EBADMSG);
	if (!strstr(b->err.msg, why))
		fail_msg("\"%s\" is not in: %s", why, b->err.msg);
}

static void refuses_a_loop(void **state)
{
	struct bench *b = *state;

	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 1, DRIVER_NEXT, 1);
	driver_describe(&b->driver, 1, DRIVER_BUFFERS, 1, DRIVER_NEXT, 0);
	driver_offer(&b->driver, 0);
	assert_refused(b, "the chain of descriptor 0 does not end");
}

static void refuses_a_descriptor_behind_the_table(void **state)
{
	struct bench *b = *state;

	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 1, DRIVER_NEXT, DRIVER_RING_SIZE);
	driver_offer(&b->driver, 0);
	assert_refused(b, "descriptor 8 of 8 is named");
	driver_offer(&b->driver, 0xffff);
	assert_refused(b, "descriptor 65535 of 8 is named");
}

static void refuses_buffers_outside(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t size;
	} outside[] = {
		{ 0, 1 },
		{ DRIVER_RAM - 1, 2 },
		{ DRIVER_RAM_END, 1 },
		{ DRIVER_RAM_END - 1, 2 },
		{ DRIVER_RAM, UINT32_MAX },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 3, 8 },
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		driver_describe(&b->driver, 0, outside[i].address, outside[i].size, DRIVER_WRITE,
				0);
		driver_offer(&b->driver, 0);
		assert_refused(b, "is not in memory that the guest shares");
	}
}

static void refuses_a_buffer_to_read_behind_one_to_write(void **state)
{
	struct bench *b = *state;

	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 1, DRIVER_WRITE | DRIVER_NEXT, 1);
	driver_describe(&b->driver, 1, DRIVER_BUFFERS, 1, 0, 0);
	driver_offer(&b->driver, 0);
	assert_refused(b, "descriptor 1 is to be read, after one to be written");
}

static void refuses_indirect_descriptors(void **state)
{
	struct bench *b = *state;

	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 16, DRIVER_INDIRECT, 0);
	driver_offer(&b->driver, 0);
	assert_refused(b, "descriptor 0 is indirect");
}

/* Write a descriptor into a table at @table. */
static void describe_in(struct bench *b, uint64_t table, uint16_t nth, uint64_t address,
			uint32_t size, uint16_t flags, uint16_t next)
{
	driver_describe(&b->driver, 7, address, size, flags, next);
	memcpy(driver_at(&b->driver, table + nth * 16ULL),
	       driver_at(&b->driver, DRIVER_DESCRIPTORS + 7 * 16), 16);
}

/* Behind descriptors of the ring, at an address that is not aligned. */
static void a_table_of_descriptors_is_taken(void **state)
{
	const uint64_t table = DRIVER_BUFFERS + 0x803;
	struct bench *b = *state;

	b->ring.indirect = true;
	describe_in(b, table, 2, DRIVER_BUFFERS + 8, 20, DRIVER_NEXT | DRIVER_WRITE, 1);
	describe_in(b, table, 1, DRIVER_BUFFERS + 28, 30, DRIVER_WRITE, 0);
	describe_in(b, table, 0, DRIVER_BUFFERS + 4, 4, DRIVER_NEXT, 2);
	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 4, DRIVER_NEXT, 1);
	driver_describe(&b->driver, 1, table, 48, DRIVER_INDIRECT, 0);
	driver_offer(&b->driver, 0);
	assert_int_equal(take(b), 1);
	assert_int_equal(b->chain.n, 4);
	assert_ptr_equal(b->chain.buffers[1].at, b->chain.buffers[0].at + 4);
	assert_int_equal(b->chain.buffers[2].size, 20);
	assert_true(b->chain.buffers[3].writable);
}

static void refuse_table(struct bench *b, uint64_t address, uint32_t size, uint16_t flags,
			 const char *why)
{
	b->ring.taken = 0;
	b->ring.indirect = true;
	driver_set_index(&b->driver, 0);
	driver_describe(&b->driver, 0, address, size, DRIVER_INDIRECT | flags, 1);
	driver_offer(&b->driver, 0);
	assert_refused(b, why);
}

static void refuses_strange_tables(void **state)
{
	const uint64_t table = DRIVER_BUFFERS + 0x800;
	struct bench *b = *state;

	refuse_table(b, table, 0, 0, "descriptor 0 names a table of 0 bytes");
	refuse_table(b, table, 24, 0, "a table of 24 bytes, not a multiple of 16");
	refuse_table(b, table, 16, DRIVER_NEXT,
		     "descriptor 0 is indirect, in a table or with a next");
	refuse_table(b, DRIVER_RAM_END - 16, 32, 0,
		     "a table at 0x8000fff0, which is not in memory");
	describe_in(b, table, 0, table, 16, DRIVER_INDIRECT, 0);
	refuse_table(b, table, 16, 0, "descriptor 0 is indirect, in a table");
	describe_in(b, table, 0, DRIVER_BUFFERS, 1, DRIVER_NEXT, 1);
	refuse_table(b, table, 16, 0, "descriptor 1 of 1 is named");
	describe_in(b, table, 0, DRIVER_BUFFERS, 1, DRIVER_NEXT, 0);
	refuse_table(b, table, 16, 0, "the chain of descriptor 0 does not end");
	describe_in(b, table, 0, DRIVER_RAM_END, 1, 0, 0);
	refuse_table(b, table, 16, 0, "descriptor 0, 1 bytes at 0x80010000, is not in memory");
}

/* Indexes go round here, too. */
static void indexes_replace_flags(void **state)
{
	struct bench *b = *state;
	uint16_t *wanted = (void *)driver_at(&b->driver, DRIVER_AVAIL + 4 + DRIVER_RING_SIZE * 2);
	const uint16_t *event =
		(const void *)driver_at(&b->driver, DRIVER_USED + 4 + DRIVER_RING_SIZE * 8);

	assert_false(ring_await(&b->ring));
	assert_int_equal(*event, 0);
	b->ring.events = true;
	b->ring.taken = b->ring.given = 0xffff;
	driver_set_index(&b->driver, 0xffff);
	assert_false(ring_await(&b->ring));
	assert_int_equal(*event, 0xffff);
	driver_describe(&b->driver, 2, DRIVER_BUFFERS, 4, DRIVER_WRITE, 0);
	driver_offer(&b->driver, 2);
	assert_true(ring_await(&b->ring)); /* it has not seen the driver's */
	assert_int_equal(take(b), 1);
	assert_false(ring_await(&b->ring));
	assert_int_equal(*event, 0);
	*wanted = 0;
	driver_want_no_interrupt(&b->driver); /* means nothing */
	assert_false(ring_give(&b->ring, 2, 4));
	assert_true(ring_give(&b->ring, 2, 4));
	assert_false(ring_give(&b->ring, 2, 4));
}

static void refuses_more_chains_than_descriptors(void **state)
{
	struct bench *b = *state;

	driver_set_index(&b->driver, DRIVER_RING_SIZE + 1);
	assert_refused(b, "9 chains are offered, of 8 descriptors");
	driver_set_index(&b->driver, 0xffff); /* backwards */
	assert_refused(b, "65535 chains are offered");
}

static void refuses_rings_outside_or_of_a_strange_size(void **state)
{
	static const struct {
		struct ring_setup setup;
		const char *why;
	} bad[] = {
		{ { 0, DRIVER_DESCRIPTORS, DRIVER_AVAIL, DRIVER_USED }, "power of 2" },
		{ { 3, DRIVER_DESCRIPTORS, DRIVER_AVAIL, DRIVER_USED }, "power of 2" },
		{ { 16, DRIVER_DESCRIPTORS, DRIVER_AVAIL, DRIVER_USED }, "at most 8" },
		{ { 0x80000000, DRIVER_DESCRIPTORS, DRIVER_AVAIL, DRIVER_USED }, "at most 8" },
		{ { 8, DRIVER_DESCRIPTORS + 8, DRIVER_AVAIL, DRIVER_USED }, "a multiple of 16" },
		{ { 8, DRIVER_DESCRIPTORS, DRIVER_AVAIL + 1, DRIVER_USED }, "a multiple of 2" },
		{ { 8, DRIVER_DESCRIPTORS, DRIVER_AVAIL, DRIVER_USED + 2 }, "a multiple of 4" },
		{ { 8, DRIVER_RAM_END - 112, DRIVER_AVAIL, DRIVER_USED }, "the descriptors at" },
		{ { 8, DRIVER_DESCRIPTORS, DRIVER_RAM_END - 20, DRIVER_USED },
		  "the available descriptors at" },
		{ { 8, DRIVER_DESCRIPTORS, DRIVER_AVAIL, DRIVER_RAM_END - 68 },
		  "the used descriptors at" },
		{ { 8, UINT64_MAX - 15, DRIVER_AVAIL, DRIVER_USED }, "the descriptors at" },
	};
	struct bench *b = *state;
	struct ring ring = { .size = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ring_init(&bad[i].setup, 8, &b->driver.dma, &ring, &b->err),
				 -EBADMSG);
		if (!strstr(b->err.msg, bad[i].why))
			fail_msg("\"%s\" is not in: %s", bad[i].why, b->err.msg);
		assert_int_equal(ring.size, 77);
	}
}

/* To the last byte of RAM, which is that of the ring's last word. */
static void rings_may_end_where_memory_ends(void **state)
{
	static const struct ring_setup last[] = {
		{ 8, DRIVER_RAM_END - 128, DRIVER_AVAIL, DRIVER_USED },
		{ 8, DRIVER_DESCRIPTORS, DRIVER_RAM_END - 22, DRIVER_USED },
		{ 8, DRIVER_DESCRIPTORS, DRIVER_AVAIL, DRIVER_RAM_END - 72 },
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(last); i++)
		assert_int_equal(ring_init(&last[i], 8, &b->driver.dma, &b->ring, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_comes_and_goes_back),
		TEST(goes_round_and_round),
		TEST(a_whole_ring_is_taken),
		TEST(the_longest_chain_is_taken),
		TEST(a_driver_may_want_no_interrupt),
		TEST(a_buffer_may_be_empty),
		TEST(refuses_a_loop),
		TEST(refuses_a_descriptor_behind_the_table),
		TEST(refuses_buffers_outside),
		TEST(refuses_a_buffer_to_read_behind_one_to_write),
		TEST(refuses_indirect_descriptors),
		TEST(a_table_of_descriptors_is_taken),
		TEST(refuses_strange_tables),
		TEST(indexes_replace_flags),
		TEST(refuses_more_chains_than_descriptors),
		TEST(refuses_rings_outside_or_of_a_strange_size),
		TEST(rings_may_end_where_memory_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
