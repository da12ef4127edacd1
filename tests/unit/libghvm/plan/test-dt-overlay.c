/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Overlays that libfdt would believe, and what is said of them. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/dt.h"
#include "ghvm/plan.h"
#include "tests/fixtures/devices.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 4096
#define AT "/fragment@0/__overlay__"
#define FRAGMENT "fragment@0{ target-path=\"/\" __overlay__{ "
#define FIXUPS "__local_fixups__{ fragment@0{ __overlay__{ "
#define IN_BOTH "} } "

static int build(const uint8_t *blob, size_t size, uint8_t **ret, struct ghvm_error *err)
{
	const struct ghvm_dt_machine m = {
		.name = "demo",
		.cmdline = "",
		.ram_ipa = GHVM_IPA_RAM,
		.cpus = 1,
		.devices = demo_devices, /* the greatest phandle is 3 */
		.n_devices = DEMO_DEVICES,
		.quirks = ghvm_quirks_unknown(),
		.overlay_name = "/etc/my.dtbo",
	};
	size_t n;

	return ghvm_dt_build(&m, blob, size, ret, &n, err);
}

/* "value" or <hexadecimal,cells> or [hexadecimal bytes] */
static void put_value(uint8_t *buf, const char *name, char *value)
{
	uint8_t bytes[128];
	size_t n = 0, digits = *value == '<' ? 8 : 2;
	char *save = NULL;

	if (*value == '"') {
		value[strlen(value) - 1] = '\0';
		assert_int_equal(fdt_property_string(buf, name, value + 1), 0);
		return;
	}
	for (char *s = strtok_r(value, "<[,]>", &save); s; s = strtok_r(NULL, "<[,]>", &save)) {
		unsigned long v = strtoul(s, NULL, 16);

		for (size_t i = digits / 2; i--;)
			bytes[n++] = (uint8_t)(v >> (8 * i));
	}
	assert_int_equal(fdt_property(buf, name, bytes, (int)n), 0);
}

/* Words: NODE{ ... } and PROPERTY=VALUE */
static size_t make(uint8_t *buf, const char *text)
{
	_cleanup_(freep) char *copy = strdup(text);
	char *save = NULL, *eq;

	assert_int_equal(fdt_create(buf, ROOM), 0);
	assert_int_equal(fdt_finish_reservemap(buf), 0);
	assert_int_equal(fdt_begin_node(buf, ""), 0);
	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		eq = strchr(s, '=');
		if (eq) {
			*eq = '\0';
			put_value(buf, s, eq + 1);
		} else if (*s == '}') {
			assert_int_equal(fdt_end_node(buf), 0);
		} else {
			s[strlen(s) - 1] = '\0';
			assert_int_equal(fdt_begin_node(buf, s), 0);
		}
	}
	assert_int_equal(fdt_end_node(buf), 0);
	assert_int_equal(fdt_finish(buf), 0);
	return fdt_totalsize((const void *)buf);
}

static void moves_its_own_phandles(void **state)
{
	uint8_t buf[ROOM], *fdt;
	size_t n = make(buf, FRAGMENT "a{ b=<0,9> phandle=<1> } b{ phandle=<9> } " IN_BOTH FIXUPS
				      "a{ b=<4> } } } }");
	const uint8_t *p;
	int len;

	assert_int_equal(build(buf, n, &fdt, NULL), 0);
	p = fdt_getprop(fdt, fdt_path_offset(fdt, "/a"), "b", &len);
	assert_int_equal(len, 8);
	assert_int_equal(p[3], 0);
	assert_int_equal(p[7], 9 + 3);
	assert_int_equal(fdt_get_phandle(fdt, fdt_path_offset(fdt, "/a")), 1 + 3);
	assert_int_equal(fdt_get_phandle(fdt, fdt_path_offset(fdt, "/b")), 9 + 3);
	free(fdt);
}

/* A fragment may be for what an earlier one brings. */
static void takes_targets_of_its_own(void **state)
{
	uint8_t buf[ROOM], *fdt;
	size_t n = make(buf, FRAGMENT "a{ } " IN_BOTH
				      "fragment@1{ target-path=\"/a\" __overlay__{ b{ } } } "
				      "__symbols__{ it=\"" AT "/a\" }");

	assert_int_equal(build(buf, n, &fdt, NULL), 0);
	assert_true(fdt_path_offset(fdt, "/a/b") > 0);
	free(fdt);
}

static const struct {
	const char *overlay;
	const char *complaint;
} bad[] = {
	/* what killed a manager */
	{ FRAGMENT "a{ b=<9> phandle=<1> } b{ c=<1> phandle=<9> } " IN_BOTH "__symbols__{ a=\"" AT
		   "/a\" b=\"" AT "/b\" } " FIXUPS "a{ b=<fb000000> } b{ c=<0> } } } }",
	  "kernel.dtb-overlay: /etc/my.dtbo: device tree overlay: /__local_fixups__" AT
	  "/a: b: offset 4211081216 is "
	  "outside of the property, which has 4 bytes" },
	{ FRAGMENT "b=<9> " IN_BOTH FIXUPS "b=<1> } } }", ": b: offset 1 is outside" },
	{ FRAGMENT "b=<9> " IN_BOTH FIXUPS "b=<fffffffe> } } }", ": b: offset 4294967294 is out" },
	{ FRAGMENT "b=<9,9> " IN_BOTH FIXUPS "b=<0,4,8> } } }", ": b: offset 8 is outside" },
	{ FRAGMENT "b=[1,2,3] " IN_BOTH FIXUPS "b=<0> } } }", "which has 3 bytes" },
	{ FRAGMENT "b=<9> " IN_BOTH FIXUPS "b=[0,0,0] } } }", "3 bytes are not a list of offsets" },
	{ FRAGMENT IN_BOTH FIXUPS "b=<0> } } }", ": b: its node has no such" },
	{ FRAGMENT IN_BOTH FIXUPS "a{ } } } }", AT "/a: the overlay has no such node" },
	{ FRAGMENT "a@1{ } " IN_BOTH FIXUPS "a{ } } } }", AT "/a: the overlay has no such node" },
	/* what would change a number that was checked */
	{ FRAGMENT "b=<9> " IN_BOTH
		   "__local_fixups__{ __local_fixups__{ fragment@0{ __overlay__{ b=<0> } } } "
		   "fragment@0{ __overlay__{ b=<0> } } }",
	  "/__local_fixups__/__local_fixups__: refers to fix-ups" },
	{ FRAGMENT "phandle=<9> " IN_BOTH FIXUPS "phandle=<1> } } }",
	  ": phandle: is not a property" },
	{ FRAGMENT IN_BOTH "__local_fixups__{ fragment@0{ target-path=<0> } }",
	  "/__local_fixups__/fragment@0: target-path: is not a property" },
	{ FRAGMENT IN_BOTH "__symbols__{ phandle=[2f,61,62,0] }", "/__symbols__: phandle: is no" },
	/* labels of a tree that has none */
	{ FRAGMENT "b=<ffffffff> " IN_BOTH "__fixups__{ uart=\"" AT ":b:0\" }",
	  "/__fixups__: uart: refers to a label" },
	{ FRAGMENT "b=<ffffffff> " IN_BOTH "__fixups__{ uart=\"" AT ":b:4294967294\" }",
	  "/__fixups__: uart: refers to a label" },
	{ FRAGMENT IN_BOTH "__fixups__@1{ uart=\"x\" }", "/__fixups__@1: would be taken for" },
	{ FRAGMENT IN_BOTH "__symbols__{ a=[2f,61] }", "/__symbols__: a: is not a path" },
	{ FRAGMENT IN_BOTH "__symbols__{ a=\"a\" }", "/__symbols__: a: is not a path" },
	/* targets */
	{ "fragment@0{ target-path=[2f,61] __overlay__{ } }", "/fragment@0: target-path: is no" },
	{ "fragment@0{ target-path=\"serial0\" __overlay__{ } }", "target-path: is not a path" },
	{ "fragment@0{ target-path=\"/no\" __overlay__{ } }", "target-path: the tree has no such" },
	{ "fragment@0{ target=<7> __overlay__{ } }", "/fragment@0: target: the tree has no such" },
	{ "fragment@0{ target=[1] __overlay__{ } }", "/fragment@0: target: is not a phandle" },
	{ "fragment@0{ __overlay__{ } }", "/fragment@0: has neither target-path nor target" },
	{ "serial{ compatible=\"x\" }", "/: no node in it has an __overlay__" },
	/* the tree as such */
	{ FRAGMENT "phandle=<0> " IN_BOTH, AT ": phandle: is not a phandle" },
	{ FRAGMENT "phandle=<fffffffc> " IN_BOTH, AT ": phandle: is not a phandle" },
	{ FRAGMENT "linux,phandle=[1,2] " IN_BOTH, AT ": linux,phandle: is not a phandle" },
	{ FRAGMENT "b=<1> b=<2> " IN_BOTH, AT ": b: occurs twice" },
	{ FRAGMENT "b{ } b{ } " IN_BOTH, AT ": b occurs twice" },
	{ FRAGMENT "b@1{ } b{ } " IN_BOTH, AT ": b occurs twice, or after one with a unit" },
	{ FRAGMENT "a{ } b=<1> " IN_BOTH, AT ": b: comes after a node" },
	{ FRAGMENT "\033[2J{ } " IN_BOTH, AT ": a node in it has a bad name" },
	{ FRAGMENT "a/b{ } " IN_BOTH, AT ": a node in it has a bad name" },
	{ FRAGMENT "a\tb=<1> " IN_BOTH, AT ": a property of it has a bad name" },
};

static void says_where_it_is_bad(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t buf[ROOM], *fdt = NULL;
		struct ghvm_error err = {};
		size_t n = make(buf, bad[i].overlay);

		assert_int_equal(build(buf, n, &fdt, &err), -EINVAL);
		assert_null(fdt);
		assert_ptr_equal(
			strstr(err.msg, "kernel.dtb-overlay: /etc/my.dtbo: device tree overlay: "),
			err.msg);
		if (!strstr(err.msg, bad[i].complaint))
			fail_msg("%zu: %s", i, err.msg);
	}
}

static void refuses_deep_nests(void **state)
{
	uint8_t buf[ROOM], *fdt = NULL;
	struct ghvm_error err = {};
	char text[ROOM] = FRAGMENT;

	for (size_t i = 0; i < 29; i++)
		strcat(text, "a{ ");
	for (size_t i = 0; i < 31; i++)
		strcat(text, "} ");
	assert_int_equal(build(buf, make(buf, text), &fdt, NULL), 0);
	free(fdt);
	memmove(strstr(text, "a{ ") + 3, strstr(text, "a{ "), strlen(strstr(text, "a{ ")) + 1);
	strcat(text, "} ");
	assert_int_equal(build(buf, make(buf, text), &fdt, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "more than 32 levels of nodes"));
}

/* To apply thousands takes seconds, and the bus is served by the thread that does it. */
static void refuses_crowds(void **state)
{
	static uint8_t buf[GHVM_KIB(32)];
	uint8_t *fdt = NULL;
	struct ghvm_error err = {};

	for (int properties = 0; properties < 2; properties++) {
		(void)fdt_create(buf, sizeof(buf));
		(void)fdt_finish_reservemap(buf);
		(void)fdt_begin_node(buf, "");
		for (int i = 0; i < (properties ? 1025 : 512); i++) {
			char name[16];

			(void)snprintf(name, sizeof(name), "n%d", i);
			if (properties) {
				assert_int_equal(fdt_property(buf, name, NULL, 0), 0);
				continue;
			}
			assert_int_equal(fdt_begin_node(buf, name), 0);
			assert_int_equal(fdt_end_node(buf), 0);
		}
		(void)fdt_end_node(buf);
		assert_int_equal(fdt_finish(buf), 0);
		assert_int_equal(build(buf, fdt_totalsize((const void *)buf), &fdt, &err), -EINVAL);
		assert_non_null(strstr(err.msg, properties ? "/: more than 1024 properties"
							   : "/: more than 512 nodes"));
	}
}

/* As it is in a message on the bus. */
static void need_not_be_aligned(void **state)
{
	uint8_t buf[ROOM], odd[ROOM + 1], *fdt;
	size_t n = make(buf, FRAGMENT "a{ } " IN_BOTH);

	memcpy(odd + 1, buf, n);
	assert_int_equal(build(odd + 1, n, &fdt, NULL), 0);
	free(fdt);
}

/* Names that are values would change while phandles do. */
static void parts_that_overlap_are_taken_apart(void **state)
{
	uint8_t buf[ROOM], *fdt;
	size_t n = make(buf,
			FRAGMENT "a{ phandle=<1> } b{ c=<1> } " IN_BOTH FIXUPS "b{ c=<0> } } } }");
	const uint32_t at = fdt_off_dt_struct(buf);

	/* all of it is strings as well, the real ones behind the tree included */
	assert_true(fdt_off_dt_strings(buf) > at);
	for (int node = 0; node >= 0; node = fdt_next_node(buf, node, NULL)) {
		int p;

		fdt_for_each_property_offset(p, buf, node)
		{
			uint8_t *prop = buf + at + p;

			fdt32_st(prop + 8, fdt32_ld((const fdt32_t *)(const void *)(prop + 8)) +
						   fdt_off_dt_strings(buf) - at);
		}
	}
	fdt_set_size_dt_strings(buf, (uint32_t)n - at);
	fdt_set_off_dt_strings(buf, at);
	assert_int_equal(fdt_check_full(buf, n), 0);
	assert_int_equal(build(buf, n, &fdt, NULL), 0);
	assert_int_equal(fdt_get_phandle(fdt, fdt_path_offset(fdt, "/a")), 1 + 3);
	assert_non_null(fdt_getprop(fdt, fdt_path_offset(fdt, "/b"), "c", NULL));
	free(fdt);
}

static void refuses_what_is_no_overlay(void **state)
{
	_cleanup_(freep) uint8_t *large = calloc(1, GHVM_KIB(32) + 1);
	uint8_t buf[ROOM], *fdt = NULL;
	struct ghvm_error err = {};
	size_t n = make(buf, FRAGMENT IN_BOTH);

	assert_int_equal(build(buf, 0, &fdt, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "has 0 bytes, the limit is 32768"));
	assert_int_equal(build(large, GHVM_KIB(32) + 1, &fdt, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "has 32769 bytes, the limit is 32768"));
	assert_int_equal(build(large, GHVM_KIB(32), &fdt, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "not a flattened tree"));
	fdt_set_version(buf, 16);
	assert_int_equal(build(buf, n, &fdt, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "is in version 16 of the format"));
	fdt_set_version(buf, 3); /* what libfdt's own check does not survive */
	fdt_set_last_comp_version(buf, 2);
	assert_int_equal(build(buf, n, &fdt, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "is in version 3 of the format"));
	assert_int_equal(build(buf, sizeof(struct fdt_header) - 1, &fdt, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_its_own_phandles),
		cmocka_unit_test(takes_targets_of_its_own),
		cmocka_unit_test(says_where_it_is_bad),
		cmocka_unit_test(refuses_deep_nests),
		cmocka_unit_test(refuses_crowds),
		cmocka_unit_test(need_not_be_aligned),
		cmocka_unit_test(parts_that_overlap_are_taken_apart),
		cmocka_unit_test(refuses_what_is_no_overlay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
