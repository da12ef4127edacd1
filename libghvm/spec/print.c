/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints a spec as a descriptor: one line of YAML, which ghvm_spec_parse() reads back.
 */
#include "ghvm/spec.h"

#include "libghvm/base/file.h"
#include "libghvm/spec/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Number of bytes after the first one of a character; the text is valid UTF-8 from a YAML parser.
 */
static unsigned int followers(unsigned char c)
{
	return c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
}

/* Print characters other than plain ASCII by number, so that no reader folds or drops them. */
static const char *put_character(FILE *f, const char *s)
{
	unsigned char c = (unsigned char)*s++;
	unsigned int n = followers(c);
	uint32_t code = n ? c & (0x3fU >> n) : c;

	for (; n && *s; n--)
		code = code << 6 | ((unsigned char)*s++ & 0x3f);
	if (code >= ' ' && code < 0x7f)
		fprintf(f, code == '"' || code == '\\' ? "\\%c" : "%c", (int)code);
	else
		fprintf(f, "\\U%08" PRIX32, code);
	return s;
}

static void put_text(FILE *f, const char *s)
{
	fputc('"', f);
	while (*s)
		s = put_character(f, s);
	fputc('"', f);
}

/* Of several words for one value the last. */
static const char *word_of(const struct yaml_word *w, uint64_t value)
{
	const char *word = "";

	for (; w->word; w++)
		if ((uint64_t)w->value == value)
			word = w->word;
	return word;
}

static void put_map(FILE *f, const struct yaml_map *map, const void *of);

static void put_devices(FILE *f, const struct yaml_map *map, const struct ghvm_spec *spec)
{
	const char *between = "[";

	for (const struct yaml_field *d = map->fields; d->key; d++) {
		if (d->kind != YAML_MAP || spec_is_absent(d, spec))
			continue;
		fprintf(f, "%s{%s: ", between, d->key);
		put_map(f, d->arg, spec);
		fputc('}', f);
		between = ", ";
	}
	fputc(']', f);
}

static void put_regions(FILE *f, const struct yaml_map *map, const struct ghvm_spec *spec)
{
	for (size_t i = 0; i < spec->n_regions; i++) {
		fputs(i ? ", " : "[", f);
		put_map(f, map, &spec->regions[i]);
	}
	fputc(']', f);
}

void spec_put_scalar(FILE *f, const struct yaml_field *field, const void *of)
{
	const uint64_t v = spec_field_number(field, of);

	switch (field->kind) {
	case YAML_BOOL:
		fputs(v ? "true" : "false", f);
		break;
	case YAML_WORD:
		fputs(word_of(field->arg, v), f);
		break;
	case YAML_TIME:
		fprintf(f, "%" PRIu64 "ms", v);
		break;
	case YAML_REGISTER:
		fprintf(f, "0x%" PRIx64, v);
		break;
	case YAML_TEXT:
	case YAML_NAME:
		put_text(f, spec_field_text(field, of));
		break;
	case YAML_CONSTANT:
		fprintf(f, "%" PRIu64, ((const struct yaml_limits *)field->arg)->min);
		break;
	default:
		fprintf(f, "%" PRIu64, v);
		break;
	}
}

static void put_value(FILE *f, const struct yaml_field *field, const void *of)
{
	switch (field->kind) {
	case YAML_MAP:
		put_map(f, field->arg, of);
		break;
	case YAML_DEVICE_LIST:
		put_devices(f, field->arg, of);
		break;
	case YAML_REGION_LIST:
		put_regions(f, field->arg, of);
		break;
	default:
		spec_put_scalar(f, field, of);
		break;
	}
}

/* True of a section that has nothing to say. */
static bool is_empty(const struct yaml_map *map, const void *of)
{
	for (const struct yaml_field *field = map->fields; field->key; field++)
		if (!spec_is_absent(field, of))
			return false;
	return true;
}

bool spec_is_absent(const struct yaml_field *field, const void *of)
{
	if (field->kind == YAML_MAP)
		return is_empty(field->arg, of);
	if (spec_field_is_text(field))
		return !spec_field_text(field, of);
	if (field->kind == YAML_REGION_LIST)
		return !((const struct ghvm_spec *)of)->n_regions;
	return field->kind == YAML_UNSTORED || spec_field_chosen(field, of);
}

static void put_map(FILE *f, const struct yaml_map *map, const void *of)
{
	const char *between = "";

	fputc('{', f);
	for (const struct yaml_field *field = map->fields; field->key; field++) {
		if (spec_is_absent(field, of))
			continue;
		fprintf(f, "%s%s: ", between, field->key);
		put_value(f, field, of);
		between = ", ";
	}
	fputc('}', f);
}

char *ghvm_spec_to_yaml(const struct ghvm_spec *spec)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put_map(f, &spec_fields, spec);
	return ghvm_file_text(f, &text);
}
