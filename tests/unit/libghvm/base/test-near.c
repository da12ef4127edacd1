/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Suggestions for mistyped words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/near.h"

static const char *const keys[] = {
	"version", "kernel",  "memory", "cpus", "devices", "regions", "lifecycle",
	"image",   "cmdline", "size",	"list", "status",  "start",   "stop",
};

static const char *guess(const char *word)
{
	struct ghvm_near near = ghvm_near_begin(word);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		ghvm_near_offer(&near, keys[i]);
	return near.best;
}

static void a_slip_is_seen_through(void **state)
{
	static const char *const slips[][2] = {
		{ "memroy", "memory" },
		{ "memor", "memory" },
		{ "memoryy", "memory" },
		{ "nemory", "memory" },
		{ "Memory", "memory" },
		{ "MEMORY", "memory" },
		{ "lifecylce", "lifecycle" },
		{ "life_cycle", "lifecycle" },
		{ "cmd-line", "cmdline" },
		{ "cpu", "cpus" },
		{ "device", "devices" },
		{ "stauts", "status" },
		{ "strat", "start" },
		{ "stp", "stop" },
		{ "dev", "devices" },
		{ "life", "lifecycle" },
		{ "lst", "list" },
		{ "iamge", "image" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(slips); i++) {
		const char *got = guess(slips[i][0]);

		assert_non_null(got);
		assert_string_equal(got, slips[i][1]);
	}
}

static void what_is_like_nothing_is_left_alone(void **state)
{
	static const char *const words[] = { "",	  "x",	     "s",     "zz",
					     "hugetlbfs", "destroy", "xyzzy", "-" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		assert_null(guess(words[i]));
}

static void the_first_of_two_wins(void **state)
{
	struct ghvm_near near = ghvm_near_begin("web");

	ghvm_near_offer(&near, "web1");
	ghvm_near_offer(&near, "web2");
	assert_string_equal(near.best, "web1");
	ghvm_near_offer(&near, "web");
	assert_string_equal(near.best, "web");
}

static void the_text(void **state)
{
	struct ghvm_near near = ghvm_near_begin("memroy");
	char text[GHVM_NEAR_TEXT];

	assert_string_equal(ghvm_near_text(&near, text), "");
	ghvm_near_offer(&near, "memory");
	assert_string_equal(ghvm_near_text(&near, text), "; did you mean 'memory'?");
}

/* Of any length: each in a block of its own size, so that a sanitizer sees a byte too much. */
static void long_words(void **state)
{
	for (size_t n = 0; n <= GHVM_NEAR_WORD + 3; n++) {
		for (size_t m = GHVM_NEAR_WORD - 2; m <= GHVM_NEAR_WORD + 3; m++) {
			char *word = malloc(n + 1), *other = malloc(m + 1);
			char text[GHVM_NEAR_TEXT];
			struct ghvm_near near;
			bool fits = n <= GHVM_NEAR_WORD && m <= GHVM_NEAR_WORD;
			size_t apart = n > m ? n - m : m - n;

			assert_non_null(word);
			assert_non_null(other);
			memset(word, 'a', n);
			memset(other, 'a', m);
			word[n] = other[m] = '\0';
			near = ghvm_near_begin(word);
			ghvm_near_offer(&near, other);
			if (fits && apart < 2)
				assert_ptr_equal(near.best, other);
			if (!fits || !n)
				assert_null(near.best);
			assert_true(strlen(ghvm_near_text(&near, text)) < sizeof(text));
			free(word);
			free(other);
		}
	}
}

/* Every byte is only a letter that differs. */
static void any_bytes(void **state)
{
	for (int c = 1; c < 256; c++) {
		const char word[] = { 'm', 'e', (char)c, 'o', 'r', 'y', '\0' };

		assert_string_equal(guess(word), "memory");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slip_is_seen_through),
		cmocka_unit_test(what_is_like_nothing_is_left_alone),
		cmocka_unit_test(the_first_of_two_wins),
		cmocka_unit_test(the_text),
		cmocka_unit_test(long_words),
		cmocka_unit_test(any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
