/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths in descriptors that come with a call: which are taken, and replacing them in the text. */
#include "libghvm/spec/paths.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TAIL "memory: {size: 512M}\n"

static int parse_sent(const char *text, struct ghvm_spec *spec, struct ghvm_error *err)
{
	*err = (struct ghvm_error){};
	return spec_parse_sent("demo", "demo.yaml", text, strlen(text), spec, NULL, err);
}

static void keys_are_short_words(void **state)
{
	static const char *const good[] = { "a", "kernel", "Image-6.1_2", "0",
					    "12345678901234567890123456789012" };
	static const char *const bad[] = {
		"", ".", "..", "-a", "a/b", "a b", "\xc3\xa4", "123456789012345678901234567890123"
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(spec_key_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(spec_key_valid(bad[i]));
	assert_string_equal(spec_path_key("fd:kernel"), "kernel");
	assert_null(spec_path_key("fd:"));
	assert_null(spec_path_key("fd:../x"));
	assert_null(spec_path_key("/fd:kernel"));
}

static void a_call_may_name_its_files(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct ghvm_error err;

	assert_int_equal(
		parse_sent("version: 1\nkernel: {image: fd:k, initrd: /boot/initrd}\n" TAIL, &s,
			   &err),
		0);
	assert_string_equal(s.kernel, "fd:k");
	assert_int_equal(s.n_paths, 2);
	assert_string_equal(s.paths[0].key, "kernel.image");
	assert_string_equal(s.paths[0].value, "fd:k");
	assert_string_equal(s.paths[1].value, "/boot/initrd");
	assert_int_equal(spec_path_owner(&s, "kernel.initrd")->uid, geteuid());
	assert_null(spec_path_owner(&s, "kernel.dtb-overlay"));
}

struct refusal {
	const char *image;
	const char *complaint;
};

static void a_call_may_not_name_anything_else(void **state)
{
	static const struct refusal v[] = {
		{ "Image", "demo.yaml:2:17: kernel.image: neither an absolute path nor fd:KEY" },
		{ "\"fd:\"", "demo.yaml:2:17: kernel.image: fd: must be followed by 1 to 32" },
		{ "fd:../../etc/shadow", "fd: must be followed by" },
		{ "\"fd:a\\0b\"", "NUL" },
		{ "\"fd:\\\n   k\"", "not on one line" },
		{ "[fd:k]", "neither" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
		struct ghvm_error err;
		char text[256];

		(void)snprintf(text, sizeof(text), "version: 1\nkernel: {image: %s}\n" TAIL,
			       v[i].image);
		assert_int_equal(parse_sent(text, &s, &err), -EINVAL);
		assert_non_null(strstr(err.msg, v[i].complaint));
	}
}

static void a_file_on_disk_names_no_file_of_a_call(void **state)
{
	static const char text[] = "version: 1\nkernel: {image: fd:k}\n" TAIL;
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct ghvm_error err = {};

	assert_int_equal(ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), &s, NULL, &err),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "demo.yaml:2:17: kernel.image: fd:KEY names a file that"));
}

/* Bytes that are not characters stand before the paths; quotes, comments and lines stay. */
static void paths_are_replaced_in_place(void **state)
{
	static const char text[] = "# gr\xc3\xbc\xc3\x9f \xe2\x82\xac\n"
				   "version: 1\n"
				   "kernel: # \xf0\x9f\x90\xa7\n"
				   "  cmdline: \"\xc3\xa4=fd:k\"\n"
				   "  initrd: \"fd:i\" # fd:k\n"
				   "  image: fd:k\n" TAIL;
	static const char wanted[] = "# gr\xc3\xbc\xc3\x9f \xe2\x82\xac\n"
				     "version: 1\n"
				     "kernel: # \xf0\x9f\x90\xa7\n"
				     "  cmdline: \"\xc3\xa4=fd:k\"\n"
				     "  initrd: '/it''s' # fd:k\n"
				     "  image: fd:k\n" TAIL;
	static const char *const values[] = { "/it's", NULL };
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	_cleanup_(freep) char *other = NULL;
	struct ghvm_error err;
	size_t n;

	assert_int_equal(parse_sent(text, &s, &err), 0);
	other = spec_replace_paths(&s, text, strlen(text), values, &n);
	assert_non_null(other);
	assert_int_equal(n, strlen(wanted));
	assert_string_equal(other, wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_short_words),
		cmocka_unit_test(a_call_may_name_its_files),
		cmocka_unit_test(a_call_may_not_name_anything_else),
		cmocka_unit_test(a_file_on_disk_names_no_file_of_a_call),
		cmocka_unit_test(paths_are_replaced_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
