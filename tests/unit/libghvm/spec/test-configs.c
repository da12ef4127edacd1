/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The examples are good; FORMAT.md, the schema and the man page have what the table of keys has; the
 * digest is that of earlier managers.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/spec.h"
#include "libghvm/spec/digest.h"
#include "libghvm/spec/fields.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
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
	static const char *const names[] = { "appliance.yaml", "demo.yaml", "disk.yaml",
					     "pair.yaml", "shared-memory.yaml" };

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

struct docs {
	char *format;
	char *schema;
	char *man;
	size_t rows;
};

/* The row of @path in FORMAT.md, cut at its end. */
static void find_row(const struct docs *d, const char *path, char *ret, size_t cap)
{
	char begin[80];
	const char *at;

	snprintf(begin, sizeof(begin), "\n| `%s` |", path);
	at = strstr(d->format, begin);
	if (!at)
		fail_msg("FORMAT.md has no row for %s", path);
	snprintf(ret, cap, "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
}

static void assert_in_row(const char *row, const char *path, const char *what)
{
	if (!strstr(row, what))
		fail_msg("FORMAT.md's row of %s lacks: %s", path, what);
}

/* The words and limits of @f are in its row, and the words in the schema. */
static void check_values(const struct docs *d, const char *row, const char *path,
			 const struct yaml_field *f)
{
	const struct yaml_limits *limits = f->arg;
	char text[80];

	for (const struct yaml_word *w = f->arg; f->kind == YAML_WORD && w->word; w++) {
		snprintf(text, sizeof(text), "`%s`", w->word);
		assert_in_row(row, path, text);
		snprintf(text, sizeof(text), "\"%s\"", w->word);
		if (!strstr(d->schema, text))
			fail_msg("the schema lacks the word %s of %s", text, path);
	}
	if (f->kind != YAML_NUMBER)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 " to %" PRIu64, limits->min, limits->max);
	assert_in_row(row, path, text);
	snprintf(text, sizeof(text), "\"minimum\": %" PRIu64 ", \"maximum\": %" PRIu64 "}",
		 limits->min, limits->max);
	if (!strstr(d->schema, text))
		fail_msg("the schema lacks the limits of %s: %s", path, text);
}

static const char *first_word(const struct yaml_field *f)
{
	const struct yaml_word *w = f->arg;

	while ((uint64_t)w->value != f->initial)
		w++;
	return w->word;
}

/* The last column of the row. */
static void check_default(const char *row, const char *path, const struct yaml_field *f)
{
	char text[80] = "|";

	if (f->kind == YAML_BOOL)
		snprintf(text, sizeof(text), "| `%s` |", f->initial ? "true" : "false");
	else if (f->kind == YAML_WORD && !(f->flags & YAML_CHOSEN))
		snprintf(text, sizeof(text), "| `%s` |", first_word(f));
	else if (f->kind == YAML_NUMBER && f->initial)
		snprintf(text, sizeof(text), "| %" PRIu64 " |", f->initial);
	else if (f->kind == YAML_SIZE && f->initial)
		snprintf(text, sizeof(text), "| `%" PRIu64 "M` |", f->initial >> 20);
	else if (f->kind == YAML_TIME)
		snprintf(text, sizeof(text), "| `%" PRIu64 "s` |", f->initial / 1000);
	else if (f->flags & YAML_REQUIRED)
		snprintf(text, sizeof(text), "| required |");
	else if (f->flags & YAML_CHOSEN)
		snprintf(text, sizeof(text), "| chosen |");
	if (strlen(row) < strlen(text) || strcmp(row + strlen(row) - strlen(text), text))
		fail_msg("FORMAT.md's row of %s does not end with: %s", path, text);
}

/* FORMAT.md has a row for @path, the man page an entry, the schema the key; the parser knows it. */
static void find_in_docs(struct docs *d, const char *path, const struct yaml_field *f)
{
	char row[1024], entry[80], quoted[80], text[160];

	find_row(d, path, row, sizeof(row));
	check_values(d, row, path, f);
	check_default(row, path, f);
	d->rows++;
	snprintf(entry, sizeof(entry), "\n.It Cm %s\n", path);
	if (!strstr(d->man, entry))
		fail_msg("gunyah-vm.yaml.5 has no entry for %s", path);
	snprintf(quoted, sizeof(quoted), "\"%s\":", f->key);
	if (!strstr(d->schema, quoted))
		fail_msg("the schema does not know %s", path);
	nest(path, text, sizeof(text));
	if (!known(text))
		fail_msg("the parser does not know %s: %s", path, text);
}

static bool is_reserved(const struct yaml_field *f)
{
	return f->kind == YAML_UNSTORED && !f->arg;
}

static void find_all(struct docs *d, const char *above, const struct yaml_map *map)
{
	char path[64], below[64];

	for (const struct yaml_field *f = map->fields; f->key; f++) {
		const bool list = f->kind == YAML_DEVICE_LIST || f->kind == YAML_REGION_LIST;

		if (f != map->fields && !strcmp(f->key, f[-1].key))
			continue; /* of a device that may be listed again */
		snprintf(path, sizeof(path), "%s%s", above, f->key);
		snprintf(below, sizeof(below), "%.50s%s.", path, list ? "[]" : "");
		if (f->kind != YAML_MAP && !is_reserved(f))
			find_in_docs(d, path, f);
		if (f->kind == YAML_MAP || list)
			find_all(d, below, f->arg);
	}
}

/* What the table knows is documented, and nothing else. */
static void table_is_documented(void **state)
{
	size_t len;
	_cleanup_(freep) char *format = slurp("FORMAT.md", &len);
	_cleanup_(freep) char *schema = slurp("gunyah-vm.schema.json", &len);
	_cleanup_(freep) char *man = slurp("../docs/gunyah-vm.yaml.5", &len);
	struct docs d = { .format = format, .schema = schema, .man = man };
	size_t entries = 0, rows = 0;

	find_all(&d, "", &spec_fields);
	for (const char *p = format; (p = strstr(p, "\n| `")); p++)
		rows++;
	for (const char *p = man; (p = strstr(p, "\n.It Cm ")); p++)
		entries++;
	assert_int_equal(rows, d.rows);
	assert_int_equal(entries, d.rows);
	assert_false(known("nosuch: ~\n"));
}

/* The digest takes rank after rank and ends at a gap. */
#define RANKS 128

static void count_ranks(const struct yaml_map *map, unsigned int seen[RANKS])
{
	for (const struct yaml_field *f = map->fields; f->key; f++) {
		if (f->kind == YAML_MAP || f->kind == YAML_DEVICE_LIST)
			count_ranks(f->arg, seen);
		else if (f->kind <= YAML_TEXT) {
			assert_in_range(f->rank, 1, RANKS - 1);
			seen[f->rank]++;
		}
	}
}

static void assert_ranks(const struct yaml_map *map)
{
	unsigned int seen[RANKS] = {}, n = 1;

	count_ranks(map, seen);
	for (; seen[n]; n++)
		assert_int_equal(seen[n], 1);
	for (; n < ARRAY_SIZE(seen); n++)
		assert_int_equal(seen[n], 0);
}

static void every_value_is_digested(void **state)
{
	assert_ranks(&spec_fields);
	assert_ranks(&spec_region_fields);
}

/* State files of earlier managers contain it. */
static void digest_stays(void **state)
{
	static const char text[] =
		"version: 1\nkernel: {image: /i, initrd: /r, cmdline: \"a\\\"\\\\\\u00e9\", "
		"dtb-overlay: /o}\n"
		"memory: {size: 2G, protection: none, hugepages: 1G}\ncpus: {count: 3}\n"
		"devices: [{console: {enabled: false, logging: journal, log-size: 128K, "
		"log-count: 5}}, {power-key: {enabled: false}}]\n"
		"regions: [{label: 7, size: 8K, readonly: true}, "
		"{label: 9, size: 4K, address: 0x50000000}]\n"
		"lifecycle: {on-reboot: stop, on-crash: restart, stop-timeout: 7s}\nrm-rpc: true\n";
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	char digest[17];

	assert_int_equal(ghvm_spec_parse("x", "x.yaml", text, strlen(text), &s, NULL, NULL), 0);
	spec_digest(&s, digest);
	assert_string_equal(digest, "b5a75a1e60225689");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_are_good),
		cmocka_unit_test(table_is_documented),
		cmocka_unit_test(every_value_is_digested),
		cmocka_unit_test(digest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
