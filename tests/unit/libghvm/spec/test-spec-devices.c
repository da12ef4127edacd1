/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of devices: some are there unless they are disabled, others only if they are listed. */
#include "ghvm/spec.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define GOOD "version: 1\nkernel: {image: /boot/Image}\nmemory: {size: 512M}\n"

/* There is none unless it is listed; it may be listed and still be none. */
static void a_device_is_there_if_it_is_listed(void **state)
{
	static const struct {
		const char *devices;
		bool rng;
	} lists[] = {
		{ "[]", false },
		{ "[{console: {}}]", false },
		{ "[{rng: {}}]", true },
		{ "[{rng: ~}]", false },
		{ "[{rng: {enabled: ~}}]", true },
		{ "[{rng: {enabled: true}}]", true },
		{ "[{rng: {enabled: false}}]", false },
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
		struct ghvm_error err;

		snprintf(text, sizeof(text), GOOD "devices: %s\n", lists[i].devices);
		assert_int_equal(
			ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), &s, NULL, &err),
			0);
		assert_int_equal(s.rng, lists[i].rng);
		assert_true(s.console);
	}
}

/* What is not listed is not printed: an earlier manager does not know the key. */
static void a_device_that_is_not_listed_is_not_printed(void **state)
{
	static const char *const texts[] = { GOOD, GOOD "devices: [{rng: {}}]\n" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};

		assert_int_equal(ghvm_spec_parse("demo", "demo.yaml", texts[i], strlen(texts[i]),
						 &s, NULL, NULL),
				 0);
		_cleanup_(freep) char *printed = ghvm_spec_to_yaml(&s);

		assert_int_equal(strstr(printed, "rng: {enabled: true}") != NULL, i == 1);
		assert_int_equal(strstr(printed, "rng") != NULL, i == 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_is_there_if_it_is_listed),
		cmocka_unit_test(a_device_that_is_not_listed_is_not_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
