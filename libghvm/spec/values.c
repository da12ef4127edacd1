/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing the values of keys: numbers, sizes, times, words, texts and paths.
 */
#include "libghvm/spec/reader.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/near.h"
#include "libghvm/base/number.h"
#include "libghvm/spec/paths.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING_MAX 2047 /* arm64's COMMAND_LINE_SIZE less its NUL */

void yaml_parse_size(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = yaml_text(n);
	uint64_t v;

	if (!s)
		yaml_complain(rd, n, path, "type", "not a size");
	else if (!ghvm_size_parse(s, &v))
		yaml_complain(rd, n, path, "size", "'%.*s' is not a size like 512M", YAML_QUOTE_MAX,
			      s);
	else if (!v)
		yaml_complain(rd, n, path, "size", "must not be 0");
	else
		*(uint64_t *)dst = v;
}

/* Advice to remove quotes: quoted numbers and booleans are texts. */
static const char *unquote_hint(const yaml_node_t *n)
{
	return yaml_text(n) && !yaml_is_plain(n) ? ", but a text: remove the quotes" : "";
}

void yaml_parse_number(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f, void *dst)
{
	const struct yaml_limits *limits = f->arg;
	const char *s = yaml_is_plain(n) ? yaml_text(n) : NULL;
	uint64_t v;

	if (!s || !ghvm_number_parse(s, &v))
		yaml_complain(rd, n, path, "number", "not a whole number%s", unquote_hint(n));
	else if (limits->min == limits->max && v != limits->min)
		yaml_complain(rd, n, path, "range",
			      "%" PRIu64 " is not supported; it must be %" PRIu64, v, limits->min);
	else if (v < limits->min || v > limits->max)
		yaml_complain(rd, n, path, "range", "%" PRIu64 " is not in %" PRIu64 " to %" PRIu64,
			      v, limits->min, limits->max);
	else
		*(unsigned int *)dst = (unsigned int)v;
}

void yaml_parse_register(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			 const struct yaml_field *f, void *dst)
{
	const char *s = yaml_is_plain(n) ? yaml_text(n) : NULL;
	const uint64_t *alignment = f->arg;
	uint64_t v;

	if (!s || !ghvm_number_parse(s, &v))
		yaml_complain(rd, n, path, "number", "not a whole number%s", unquote_hint(n));
	else if (alignment && !ghvm_aligned(v, *alignment))
		yaml_complain(rd, n, path, "align", "0x%" PRIx64 " is not a multiple of %" PRIu64,
			      v, *alignment);
	else
		*(struct ghvm_spec_register *)dst = (struct ghvm_spec_register){ true, v };
}

void yaml_parse_duration(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			 const struct yaml_field *f, void *dst)
{
	static const struct yaml_word units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "", 1000 }, { "min", 60000 }, { "h", 3600000 }, {},
	};
	const struct yaml_word *u = units;
	const char *s = yaml_text(n);
	const char *end;
	uint64_t v;

	if (s && ghvm_number_read(s, &end, &v))
		while (u->word && strcmp(u->word, end))
			u++;
	else
		u = &units[ARRAY_SIZE(units) - 1];
	if (!u->word || v > UINT_MAX / (unsigned int)u->value)
		yaml_complain(rd, n, path, "duration", "not a time like 30s, 500ms, 2min or 1h");
	else
		*(unsigned int *)dst = (unsigned int)v * (unsigned int)u->value;
}

void yaml_parse_bool(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = yaml_is_plain(n) ? yaml_text(n) : NULL;

	if (s && !strcmp(s, "true"))
		*(bool *)dst = true;
	else if (s && !strcmp(s, "false"))
		*(bool *)dst = false;
	else
		yaml_complain(rd, n, path, "type", "neither true nor false%s", unquote_hint(n));
}

void yaml_parse_word(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = yaml_text(n);
	struct ghvm_near near = ghvm_near_begin(s ? s : "");
	char list[128] = "", text[GHVM_NEAR_TEXT];
	size_t at = 0;

	for (const struct yaml_word *w = f->arg; w->word; w++) {
		if (s && !strcmp(s, w->word)) {
			*(int *)dst = w->value;
			return;
		}
		ghvm_near_offer(&near, w->word);
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at ? ", " : "",
				       w->word);
		if (at >= sizeof(list))
			at = sizeof(list) - 1;
	}
	yaml_complain(rd, n, path, "word", "'%.*s' is none of: %s%s", YAML_QUOTE_MAX, s ? s : "",
		      list, ghvm_near_text(&near, text));
}

static void replace_string(struct yaml_reader *rd, const char *s, char **dst)
{
	char *copy = strdup(s);

	if (!copy) {
		rd->report->failed = -ENOMEM;
		return;
	}
	free(*dst);
	*dst = copy;
}

/* True, with a complaint, if @s has a control character. */
static bool has_control(struct yaml_reader *rd, const yaml_node_t *n, const char *path,
			const char *s)
{
	for (; *s; s++) {
		if (!iscntrl((unsigned char)*s))
			continue;
		yaml_complain(rd, n, path, "characters", "has a control character, 0x%02x",
			      (unsigned char)*s);
		return true;
	}
	return false;
}

/* Several lines in YAML become one: line ends become blanks. */
void yaml_parse_line(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = yaml_text(n);
	_cleanup_(freep) char *line = NULL;
	size_t len;

	if (!s) {
		yaml_complain(rd, n, path, "type", "not a text");
		return;
	}
	len = strlen(s);
	if (len > STRING_MAX) {
		yaml_complain(rd, n, path, "length", "longer than %d bytes", STRING_MAX);
		return;
	}
	line = strdup(s);
	if (!line) {
		rd->report->failed = -ENOMEM;
		return;
	}
	while (len && line[len - 1] == '\n')
		line[--len] = '\0';
	for (char *c = line; (c = strchr(c, '\n'));)
		*c = ' ';
	if (!has_control(rd, n, path, line))
		replace_string(rd, line, dst);
}

/* Why the text of a path is refused; NULL: it is not. */
static const char *refuse_path(const struct yaml_reader *rd, const yaml_node_t *n, const char *s)
{
	const bool fd = s && !strncmp(s, SPEC_FD, strlen(SPEC_FD));

	if (!s || (*s != '/' && !fd))
		return rd->sent ? "neither an absolute path nor fd:KEY" : "not an absolute path";
	if (fd && !rd->sent)
		return "fd:KEY names a file that comes with a call over the bus; a file on disk "
		       "needs an absolute path";
	if (fd && !spec_path_key(s))
		return "fd: must be followed by 1 to 32 letters, digits, '.', '_' and '-', of "
		       "which the first is a letter or digit";
	return rd->sent && n->start_mark.line != n->end_mark.line ? "not on one line" : NULL;
}

static void note_path(struct yaml_reader *rd, const yaml_node_t *n, const char *key,
		      const char *value)
{
	struct ghvm_spec_path p = {
		.value = (char *)value,
		.file = rd->file,
		.begin = n->start_mark.index,
		.end = n->end_mark.index,
	};

	(void)snprintf(p.key, sizeof(p.key), "%s", key); /* cut as that of a place */
	if (spec_note_path(rd->spec, &p, &rd->report->files[rd->file]) < 0)
		rd->report->failed = -ENOMEM;
}

/* Return: true: @dst has the path, which is not refused. */
static bool take_path(struct yaml_reader *rd, yaml_node_t *n, const char *path, const char *why,
		      void *dst)
{
	const char *s = yaml_text(n);

	if (why)
		yaml_complain(rd, n, path, "path", "%s", why);
	else if (strlen(s) >= PATH_MAX)
		yaml_complain(rd, n, path, "length", "longer than a path may be");
	else if (!has_control(rd, n, path, s)) {
		replace_string(rd, s, dst);
		return true;
	}
	return false;
}

void yaml_parse_path(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = yaml_text(n);

	if (take_path(rd, n, path, refuse_path(rd, n, s), dst))
		note_path(rd, n, path, s);
}

void yaml_parse_socket(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f, void *dst)
{
	const char *s = yaml_text(n);

	(void)take_path(rd, n, path, s && *s == '/' ? NULL : "not an absolute path", dst);
}
