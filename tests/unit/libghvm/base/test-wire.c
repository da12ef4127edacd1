/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libghvm/base/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t golden[] = {
	0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e,
	0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 0x00, 0x00, 'x',
};

static void puts_little_endian(void **state)
{
	uint8_t buf[sizeof(golden)];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u8(&w, 0x01);
	ghvm_put_u16(&w, 0x0203);
	ghvm_put_u32(&w, 0x04050607);
	ghvm_put_u64(&w, 0x08090a0b0c0d0e0f);
	ghvm_put_zero(&w, 2);
	ghvm_put_bytes(&w, "x", 1);
	assert_false(w.bad);
	assert_int_equal(w.len, sizeof(golden));
	assert_memory_equal(buf, golden, sizeof(golden));
}

static void gets_little_endian(void **state)
{
	struct ghvm_get g = { .buf = golden, .len = sizeof(golden) };
	uint8_t x;

	assert_int_equal(ghvm_get_u8(&g), 0x01);
	assert_int_equal(ghvm_get_u16(&g), 0x0203);
	assert_int_equal(ghvm_get_u32(&g), 0x04050607);
	assert_int_equal(ghvm_get_u64(&g), 0x08090a0b0c0d0e0f);
	ghvm_get_skip(&g, 2);
	assert_int_equal(ghvm_get_end(&g), -EBADMSG); /* one byte is left */
	ghvm_get_bytes(&g, &x, 1);
	assert_int_equal(x, 'x');
	assert_int_equal(ghvm_get_end(&g), 0);
}

/* What is left counts, not what there was. */
static void put_sees_what_is_left(void **state)
{
	uint8_t buf[8] = {};
	struct ghvm_put w = { .buf = buf, .cap = 6 };

	ghvm_put_u32(&w, 1);
	ghvm_put_u32(&w, UINT32_MAX);
	assert_true(w.bad);
	assert_int_equal(w.len, 4);
	assert_int_equal(buf[4] | buf[5] | buf[6] | buf[7], 0);
}

/* At each possible end: what does not fit marks the cursor, and it stays marked. */
static void put_stays_bad(void **state)
{
	for (size_t cap = 0; cap < 8; cap++) {
		uint8_t *buf = malloc(cap ? cap : 1);
		struct ghvm_put w = { .buf = buf, .cap = cap };

		ghvm_put_u64(&w, 1);
		assert_true(w.bad);
		assert_true(w.len <= cap);
		ghvm_put_bytes(&w, "", 0);
		ghvm_put_zero(&w, 0);
		assert_true(w.bad);
		free(buf);
	}
}

static void get_stays_bad(void **state)
{
	for (size_t len = 0; len < 8; len++) {
		uint8_t *buf = calloc(1, len ? len : 1);
		struct ghvm_get g = { .buf = buf, .len = len };
		uint8_t b[4] = { 1, 2, 3, 4 };

		(void)ghvm_get_u64(&g);
		assert_true(g.bad);
		ghvm_get_bytes(&g, b, sizeof(b));
		assert_int_equal(b[0] | b[1] | b[2] | b[3], 0);
		assert_int_equal(ghvm_get_u8(&g), 0);
		ghvm_get_skip(&g, 0);
		assert_int_equal(ghvm_get_end(&g), -EBADMSG);
		free(buf);
	}
}

static void sizes_do_not_wrap(void **state)
{
	uint8_t buf[4] = {};
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf), .len = 2 };
	struct ghvm_get g = { .buf = buf, .len = sizeof(buf) };
	volatile size_t huge = SIZE_MAX; /* a compiler that knew would complain of memset() */

	ghvm_put_zero(&w, huge - 1);
	assert_true(w.bad);
	ghvm_get_skip(&g, huge);
	assert_true(g.bad);
}

static void zero_bytes_need_no_buffer(void **state)
{
	struct ghvm_put w = {};
	struct ghvm_get g = {};

	ghvm_put_bytes(&w, NULL, 0);
	ghvm_get_bytes(&g, NULL, 0);
	assert_false(w.bad);
	assert_int_equal(ghvm_get_end(&g), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_little_endian),
		cmocka_unit_test(gets_little_endian),
		cmocka_unit_test(put_sees_what_is_left),
		cmocka_unit_test(put_stays_bad),
		cmocka_unit_test(get_stays_bad),
		cmocka_unit_test(sizes_do_not_wrap),
		cmocka_unit_test(zero_bytes_need_no_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
