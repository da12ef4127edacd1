/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may name a VM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"

static void good_names(void **state)
{
	static const char *const names[] = {
		"a", "0", "a-b", "demo", "x--y", "9to5", "abcdefghijklmnopqrstuvwxyz1"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(ghvm_name_valid(names[i]));
}

static void bad_names(void **state)
{
	static const char *const names[] = {
		"",    "-",  "-a",  "a-",  "A",	   "a_b",   "a.b",
		"a/b", "..", "a b", "a\n", "\xc3", "a\x7f", "abcdefghijklmnopqrstuvwxyz12"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_false(ghvm_name_valid(names[i]));
}

/* Every single byte, alone and inside. */
static void each_byte(void **state)
{
	for (int c = 1; c < 256; c++) {
		const char alone[] = { (char)c, 0 }, inside[] = { 'a', (char)c, 'b', 0 };
		bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		assert_int_equal(ghvm_name_valid(alone), letter);
		assert_int_equal(ghvm_name_valid(inside), letter || c == '-');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_names),
		cmocka_unit_test(bad_names),
		cmocka_unit_test(each_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
