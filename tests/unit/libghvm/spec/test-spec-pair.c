/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors of two VMs with one region: the key, and what both must agree on.
 */
#include "libghvm/spec/pair.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *name, const char *regions, struct ghvm_spec *ret,
		 struct ghvm_error *err)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "version: 1\nkernel: {image: /boot/Image}\nmemory: {size: 512M}\n"
		       "regions: [%s]\n",
		       regions);
	return ghvm_spec_parse(name, "x.yaml", text, strlen(text), ret, NULL, err);
}

static void refuse(const char *regions, const char *complaint)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct ghvm_error err = {};

	assert_int_equal(parse("a", regions, &s, &err), -EINVAL);
	if (!strstr(err.msg, complaint))
		fail_msg("\"%s\" for: %s", err.msg, regions);
}

static void names_one_other_vm(void **state)
{
	refuse("{label: 1, size: 4K, with: Other}", "x.yaml:4:38: regions[0].with: not the name");
	refuse("{label: 1, size: 4K, with: [b]}", "regions[0].with: not the name of a VM");
	refuse("{label: 1, size: 4K, with: a}", "regions[0].with: is the VM's own name");
	refuse("{label: 1, size: 4K, with: b}, {label: 2, size: 4K}, {label: 3, size: 4K, with: c}",
	       "regions[2].with: another region names b");
}

static void prints_what_it_reads(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {}, again = {};
	_cleanup_(freep) char *yaml = NULL;

	assert_int_equal(
		parse("a", "{label: 1, size: 4K}, {label: 2, size: 4K, with: b}", &s, NULL), 0);
	assert_string_equal(s.regions[0].with, "");
	assert_string_equal(s.regions[1].with, "b");
	yaml = ghvm_spec_to_yaml(&s);
	assert_int_equal(ghvm_spec_parse("a", "", yaml, strlen(yaml), &again, NULL, NULL), 0);
	assert_string_equal(again.regions[0].with, "");
	assert_string_equal(again.regions[1].with, "b");
	assert_string_equal(spec_peer(&s), "b");
	assert_non_null(spec_shared_region(&s, 2, "b"));
	assert_null(spec_shared_region(&s, 2, "c"));
	assert_null(spec_shared_region(&s, 1, "b"));
}

static void no_other_vm(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};

	assert_int_equal(parse("a", "{label: 1, size: 4K}", &s, NULL), 0);
	assert_null(spec_peer(&s));
}

static const struct {
	const char *a;
	const char *b;
	const char *complaint;
} pairs[] = {
	{ "{label: 7, size: 4K, with: b}", "{label: 7, size: 4K, with: a}", NULL },
	{ "{label: 7, size: 4K, with: b, readonly: true, address: 0x50000000}",
	  "{label: 8, size: 4K}, {label: 7, size: 4K, with: a}", NULL },
	{ "{label: 7, size: 4K, with: b}", "{label: 7, size: 4K}",
	  "regions[0].with: b has no region 7 with a" },
	{ "{label: 8, size: 4K}, {label: 7, size: 4K, with: b}", "{label: 7, size: 4K, with: c}",
	  "regions[1].with: b has no region 7 with a" },
	{ "{label: 7, size: 4K, with: b}", "{label: 6, size: 4K, with: a}",
	  "regions[0].with: b has no region 7 with a" },
	{ "{label: 7, size: 4K, with: b}", "{label: 7, size: 8K, with: a}",
	  "regions[0].size: 4096, and 8192 in the descriptor of b: give both the same size" },
	{ "{label: 7, size: 4K, with: b}", "{label: 7, size: 4K, with: a, access: host-readonly}",
	  "regions[0].access: is another one in the descriptor of b: give both the same access" },
	{ "{label: 7, size: 4K, with: b}",
	  "{label: 7, size: 4K, with: a}, {label: 9, size: 4K, with: a}",
	  "regions: b has region 9 with a, which is missing here" },
};

static void both_must_say_the_same(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec a = {}, b = {};
		struct ghvm_error err = {};

		assert_int_equal(parse("a", pairs[i].a, &a, NULL), 0);
		assert_int_equal(parse("b", pairs[i].b, &b, NULL), 0);
		assert_int_equal(spec_check_pair(&a, &b, &err), pairs[i].complaint ? -EINVAL : 0);
		if (pairs[i].complaint && !strstr(err.msg, pairs[i].complaint))
			fail_msg("%s", err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_one_other_vm),
		cmocka_unit_test(prints_what_it_reads),
		cmocka_unit_test(no_other_vm),
		cmocka_unit_test(both_must_say_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
