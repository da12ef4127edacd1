/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The examples are good, and FORMAT.md and the schema name every key that the parser knows. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/spec.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *slurp(const char *name, size_t *ret_len)
{
	const char *dir = getenv("GHVM_CONFIGS");
	_cleanup_(fclosep) FILE *f = NULL;
	char path[512], *buf = calloc(1, 1 << 16);

	assert_non_null(dir);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	*ret_len = fread(buf, 1, (1 << 16) - 1, f);
	return buf;
}

static void examples_are_good(void **state)
{
	static const char *const names[] = { "appliance.yaml", "demo.yaml", "shared-memory.yaml" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
		struct ghvm_error err = {};
		size_t len;
		_cleanup_(freep) char *text = slurp(names[i], &len);

		if (ghvm_spec_parse("x", names[i], text, len, &s, &c, &err) < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(c.n, 0);
	}
}

/* A key is known to the parser if it complains of anything but that. */
static bool known(const char *text)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
	struct ghvm_spec s = {};
	struct ghvm_error err = {};

	if (ghvm_spec_parse("x", "x.yaml", text, strlen(text), &s, &c, &err) == 0)
		ghvm_spec_done(&s);
	for (size_t i = 0; i < c.n; i++)
		if (!strcmp(c.v[i].rule, "unknown-key") || !strcmp(c.v[i].rule, "syntax"))
			return false;
	return true;
}

/* "a.b" as "a: {b: ~}", "a[].b.c" as "a: [{b: {c: ~}}]". */
static void nest(const char *key, char *ret, size_t cap)
{
	char tail[32] = "", copy[64], *save = NULL;
	size_t at = 0;

	snprintf(copy, sizeof(copy), "%s", key);
	for (char *w = strtok_r(copy, ".", &save); w; w = strtok_r(NULL, ".", &save)) {
		char *list = strstr(w, "[]"), shorter[32];

		if (list)
			*list = '\0';
		at += (size_t)snprintf(ret + at, cap - at, "%s%s: %s", at ? "{" : "", w,
				       list ? "[" : "");
		memcpy(shorter, tail, sizeof(shorter));
		snprintf(tail, sizeof(tail), "%s%s%.20s", list ? "]" : "", w != copy ? "}" : "",
			 shorter);
	}
	snprintf(ret + at, cap - at, "~%s\n", tail);
}

static void format_names_every_key(void **state)
{
	static const char *const keys[] = {
		"version",
		"kernel.image",
		"kernel.initrd",
		"kernel.cmdline",
		"kernel.dtb-overlay",
		"memory.size",
		"memory.protection",
		"memory.hugepages",
		"cpus.count",
		"devices",
		"devices[].console.enabled",
		"devices[].console.logging",
		"devices[].console.log-size",
		"devices[].console.log-count",
		"devices[].power-key.enabled",
		"regions",
		"regions[].label",
		"regions[].kind",
		"regions[].size",
		"regions[].address",
		"regions[].readonly",
		"lifecycle.on-reboot",
		"lifecycle.on-crash",
		"lifecycle.stop-timeout",
		"rm-rpc",
	};
	size_t len;
	_cleanup_(freep) char *format = slurp("FORMAT.md", &len);
	_cleanup_(freep) char *schema = slurp("gunyah-vm.schema.json", &len);
	size_t rows = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *last = strrchr(keys[i], '.') ? strrchr(keys[i], '.') + 1 : keys[i];
		char row[80], quoted[80], text[160];

		snprintf(row, sizeof(row), "\n| `%s` |", keys[i]);
		if (!strstr(format, row))
			fail_msg("FORMAT.md has no row for %s", keys[i]);
		snprintf(quoted, sizeof(quoted), "\"%s\":", last);
		if (!strstr(schema, quoted))
			fail_msg("the schema does not know %s", keys[i]);
		nest(keys[i], text, sizeof(text));
		if (!known(text))
			fail_msg("the parser does not know %s: %s", keys[i], text);
	}
	for (const char *p = format; (p = strstr(p, "\n| `")); p++)
		rows++;
	assert_int_equal(rows, ARRAY_SIZE(keys)); /* and no row is of anything else */
	assert_false(known("nosuch: ~\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_are_good),
		cmocka_unit_test(format_names_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
