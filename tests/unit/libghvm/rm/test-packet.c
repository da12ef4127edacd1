/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libghvm/rm/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fakes/queue-peer.h"

#define ID 0x51000012U

static uint8_t payload[GHVM_PACKET_MESSAGE_MAX];

static int setup(void **state)
{
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 251);
	return 0;
}

static void counts_packets(void **state)
{
	assert_int_equal(ghvm_packet_count(0), 1);
	assert_int_equal(ghvm_packet_count(1), 1);
	assert_int_equal(ghvm_packet_count(232), 1);
	assert_int_equal(ghvm_packet_count(233), 2);
	assert_int_equal(ghvm_packet_count(14384), 62);
	assert_int_equal(ghvm_packet_count(14616), 63);
}

static void builds_an_empty_request(void **state)
{
	static const uint8_t golden[] = { 0x21, 0x01, 0xcd, 0xab, 0x24, 0x00, 0x00, 0x56 };
	uint8_t p[GHVM_PACKET_SIZE];

	assert_int_equal(ghvm_packet_build(0x56000024, 0xabcd, NULL, 0, 0, p), 8);
	assert_memory_equal(p, golden, sizeof(golden));
}

static void builds_fragments(void **state)
{
	static const uint8_t first[] = { 0x21, 0x09, 0x01, 0x00, 0x12, 0x00, 0x00, 0x51 };
	static const uint8_t next[] = { 0x21, 0x08, 0x01, 0x00, 0x12, 0x00, 0x00, 0x51 };
	uint8_t p[GHVM_PACKET_SIZE];

	assert_int_equal(ghvm_packet_build(ID, 1, payload, 465, 0, p), 240);
	assert_memory_equal(p, first, 8);
	assert_memory_equal(p + 8, payload, 232);
	assert_int_equal(ghvm_packet_build(ID, 1, payload, 465, 1, p), 240);
	assert_memory_equal(p, next, 8);
	assert_memory_equal(p + 8, payload + 232, 232);
	assert_int_equal(ghvm_packet_build(ID, 1, payload, 465, 2, p), 9);
	assert_memory_equal(p, next, 8);
	assert_int_equal(p[8], payload[464]);
}

/* From a block of exactly its size, so that a read past its end is seen. */
static const struct ghvm_assembly *feed(struct ghvm_assembler *a, const uint8_t *p, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1);
	const struct ghvm_assembly *m;

	memcpy(exact, p, n);
	m = ghvm_assembler_feed(a, exact, n);
	free(exact);
	return m;
}

static const struct ghvm_assembly *feed_one(struct ghvm_assembler *a, unsigned int type,
					    unsigned int fragments, uint16_t seq, uint32_t id,
					    const void *content, size_t len)
{
	uint8_t p[240];

	return feed(a, p, script_packet(p, type, fragments, seq, id, content, len));
}

static struct ghvm_assembler *fresh(void)
{
	static struct ghvm_assembler a;

	memset(&a, 0, sizeof(a));
	return &a;
}

static void takes_the_longest_message(void **state)
{
	struct ghvm_assembler *a = fresh();
	const struct ghvm_assembly *m = NULL;

	for (unsigned int i = 0; i < 63; i++) {
		assert_null(m);
		m = feed_one(a, i ? 0 : 2, 62, 9, ID, payload + i * 232, 232);
	}
	assert_non_null(m);
	assert_int_equal(m->type, GHVM_PACKET_REPLY);
	assert_int_equal(m->seq, 9);
	assert_int_equal(m->id, ID);
	assert_int_equal(m->len, GHVM_PACKET_MESSAGE_MAX);
	assert_memory_equal(m->buf, payload, m->len);
}

static void drops_malformed_packets(void **state)
{
	struct ghvm_assembler *a = fresh();
	uint8_t p[241] = {};
	size_t n = script_packet(p, 2, 0, 1, ID, "abcd", 4);

	for (size_t i = 0; i < 8; i++)
		assert_null(feed(a, p, i)); /* short */
	assert_null(feed(a, p, 241));	    /* long */
	for (unsigned int v = 0; v < 256; v++) {
		p[0] = (uint8_t)v; /* version and header words */
		assert_int_equal(feed(a, p, n) != NULL, v == 0x21);
	}
	assert_null(feed_one(a, 2, 63, 1, ID, "abcd", 4)); /* too many fragments */
	assert_null(feed_one(a, 1, 0, 1, ID, "abcd", 4));  /* a request */
	assert_null(feed_one(a, 0, 0, 1, ID, "abcd", 4));  /* continues nothing */
}

static void drops_foreign_continuations(void **state)
{
	struct ghvm_assembler *a = fresh();
	const struct ghvm_assembly *m;

	assert_null(feed_one(a, 2, 1, 7, ID, "ab", 2));
	assert_null(feed_one(a, 0, 1, 8, ID, "xx", 2));
	assert_null(feed_one(a, 0, 1, 7, ID + 1, "xx", 2));
	assert_null(feed_one(a, 0, 2, 7, ID, "xx", 2));
	m = feed_one(a, 0, 1, 7, ID, "cd", 2);
	assert_non_null(m);
	assert_int_equal(m->len, 4);
	assert_memory_equal(m->buf, "abcd", 4);
	assert_null(feed_one(a, 0, 1, 7, ID, "cd", 2)); /* it is complete: nothing to continue */
}

static void a_first_packet_ends_what_was_begun(void **state)
{
	struct ghvm_assembler *a = fresh();
	const struct ghvm_assembly *m;

	assert_null(feed_one(a, 2, 1, 7, ID, "ab", 2));
	m = feed_one(a, 2, 0, 8, ID, "ef", 2);
	assert_non_null(m);
	assert_int_equal(m->len, 2);
	assert_null(feed_one(a, 0, 1, 7, ID, "cd", 2));
}

static void notifications_do_not_disturb_replies(void **state)
{
	struct ghvm_assembler *a = fresh();
	const struct ghvm_assembly *m;

	assert_null(feed_one(a, 2, 2, 7, ID, "ab", 2));
	m = feed_one(a, 3, 0, 7, 0x56100001, "n", 1);
	assert_non_null(m);
	assert_int_equal(m->type, GHVM_PACKET_NOTIFICATION);
	assert_null(feed_one(a, 0, 2, 7, ID, "cd", 2));
	assert_null(feed_one(a, 3, 1, 1, 0x51100011, "1", 1));
	m = feed_one(a, 0, 2, 7, ID, "ef", 2);
	assert_non_null(m);
	assert_memory_equal(m->buf, "abcdef", 6);
	m = feed_one(a, 0, 1, 1, 0x51100011, "2", 1);
	assert_non_null(m);
	assert_memory_equal(m->buf, "12", 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_packets),
		cmocka_unit_test(builds_an_empty_request),
		cmocka_unit_test(builds_fragments),
		cmocka_unit_test(takes_the_longest_message),
		cmocka_unit_test(drops_malformed_packets),
		cmocka_unit_test(drops_foreign_continuations),
		cmocka_unit_test(a_first_packet_ends_what_was_begun),
		cmocka_unit_test(notifications_do_not_disturb_replies),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
