/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers and sizes in texts of users.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/number.h"

static void a_number_is_decimal_or_hexadecimal(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "0x1000", 0x1000 },
		{ "0xfF", 255 },
		{ "010", 10 }, /* not octal */
		{ "089", 89 },
		{ "18446744073709551615", UINT64_MAX },
		{ "0xffffffffffffffff", UINT64_MAX },
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(ghvm_number_parse(good[i].text, &v));
		assert_int_equal(v, good[i].value);
		assert_true(ghvm_size_parse(good[i].text, &v));
		assert_int_equal(v, good[i].value);
	}
}

static void what_is_no_number_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" 1",
		"+1",
		"-1",
		"1 ",
		"0x",
		"0xg",
		"0X10",
		"0x-1",
		"1.5",
		"18446744073709551616",
		"0x10000000000000000",
		"K",
		"one",
		"1_0",
		"1,0",
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(ghvm_number_parse(bad[i], &v));
		assert_false(ghvm_size_parse(bad[i], &v));
	}
	assert_false(ghvm_number_parse("4K", &v));
}

static void a_size_may_have_a_suffix(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "4K", 4096 },	       { "3M", 3u << 20 },
		{ "2G", 2ull << 30 },  { "5T", 5ull << 40 },
		{ "0x10K", 16 << 10 }, { "0K", 0 },
		{ "010K", 10 << 10 },  { "16777215T", 16777215ull << 40 },
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(ghvm_size_parse(good[i].text, &v));
		assert_int_equal(v, good[i].value);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const bad[] = {
		"4k", "4KB", "4KK", "4 K", "4P", "16777216T", "18014398509481984K",
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(ghvm_size_parse(bad[i], &v));
}

static void a_number_ends_where_its_digits_end(void **state)
{
	const char *text = "500ms", *end;
	uint64_t v;

	(void)state;
	assert_true(ghvm_number_read(text, &end, &v));
	assert_int_equal(v, 500);
	assert_ptr_equal(end, text + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_decimal_or_hexadecimal),
		cmocka_unit_test(what_is_no_number_is_refused),
		cmocka_unit_test(a_size_may_have_a_suffix),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(a_number_ends_where_its_digits_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
