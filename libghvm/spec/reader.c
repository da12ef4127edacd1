/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads libyaml's nodes by tables of keys.
 *
 * All events are checked before the document is built, so that it has no aliases and is not deep.
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
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8
#define STRING_MAX 2047 /* arm64's COMMAND_LINE_SIZE less its NUL */
#define QUOTE_MAX 40	/* of a bad value, in a complaint */

/* ---- complaints ---- */

static struct ghvm_spec_place place_of(const struct yaml_reader *rd, const yaml_mark_t *mark)
{
	return (struct ghvm_spec_place){
		.file = rd->file,
		.line = mark ? (unsigned int)mark->line + 1 : 1,
		.column = mark ? (unsigned int)mark->column + 1 : 1,
	};
}

static void complain_at(struct yaml_reader *rd, const yaml_mark_t *mark, const char *rule,
			const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void complain_at(struct yaml_reader *rd, const yaml_mark_t *mark, const char *rule,
			const char *fmt, ...)
{
	const struct ghvm_spec_place at = place_of(rd, mark);
	va_list ap;

	va_start(ap, fmt);
	spec_complain(rd->report, GHVM_SEVERITY_ERROR, &at, "", rule, fmt, ap);
	va_end(ap);
}

void yaml_complain(struct yaml_reader *rd, const yaml_node_t *n, const char *path, const char *rule,
		   const char *fmt, ...)
{
	const struct ghvm_spec_place at = place_of(rd, n ? &n->start_mark : NULL);
	va_list ap;

	va_start(ap, fmt);
	spec_complain(rd->report, GHVM_SEVERITY_ERROR, &at, path, rule, fmt, ap);
	va_end(ap);
}

void yaml_note(struct yaml_reader *rd, const yaml_node_t *n, const char *path)
{
	const struct ghvm_spec_place at = place_of(rd, &n->start_mark);

	spec_note_place(rd->report, rd->spec, path, &at);
}

/* ---- scalars ---- */

static bool has_nul(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE &&
	       strlen((const char *)n->data.scalar.value) != n->data.scalar.length;
}

/* The text of a scalar; NULL if it is not a scalar or contains a NUL. */
static const char *scalar_text(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE || has_nul(n))
		return NULL;
	return (const char *)n->data.scalar.value;
}

static bool is_plain(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* True for YAML's null values: "~", "null" or nothing. */
static bool is_null(const yaml_node_t *n)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };
	const char *s = is_plain(n) ? scalar_text(n) : NULL;

	for (size_t i = 0; s && i < ARRAY_SIZE(words); i++)
		if (!strcmp(s, words[i]))
			return true;
	return false;
}

/* whole files */

/* Why an event is refused; NULL: accepted. */
static const char *refuse_event(const yaml_event_t *e, unsigned int documents, unsigned int depth)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return "aliases are not understood here";
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (documents > 1)
		return "there is a second document";
	if (depth > DEPTH_MAX)
		return "nested too deeply";
	if (anchor)
		return "anchors are not understood here";
	return tag ? "tags are not understood here" : NULL;
}

/* Line and column of a byte: libyaml tells only the offset of an unreadable one. */
static yaml_mark_t mark_of_byte(const char *text, size_t len, size_t byte)
{
	yaml_mark_t at = {};

	for (size_t i = 0; i < byte && i < len; i++) {
		if (text[i] == '\n') {
			at.line++;
			at.column = 0;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			at.column++; /* first byte of a character */
		}
	}
	return at;
}

static void syntax_error(struct yaml_reader *rd, const yaml_parser_t *p)
{
	const struct ghvm_spec_file *f = &rd->report->files[rd->file];
	yaml_mark_t at;

	if (p->error != YAML_READER_ERROR) {
		complain_at(rd, &p->problem_mark, "syntax", "not YAML: %s%s%s",
			    p->problem ? p->problem : "cannot be read", p->context ? ", " : "",
			    p->context ? p->context : "");
		return;
	}
	at = mark_of_byte(f->text, f->len, p->problem_offset);
	if (p->problem_value >= 0 && p->problem_value < ' ')
		complain_at(rd, &at, "characters", "a control character, 0x%02x",
			    (unsigned int)p->problem_value);
	else
		complain_at(rd, &at, "encoding", "not UTF-8: %s", p->problem);
}

/* Check all events. Return: 0; -EINVAL after a complaint. */
static int check_events(struct yaml_reader *rd, yaml_parser_t *p)
{
	const unsigned int before = rd->report->n_errors;
	unsigned int documents = 0, depth = 0;
	bool done = false;

	while (!done && rd->report->n_errors == before) {
		const char *why;
		yaml_event_t e;

		if (!yaml_parser_parse(p, &e)) {
			syntax_error(rd, p);
			break;
		}
		documents += e.type == YAML_DOCUMENT_START_EVENT;
		depth += e.type == YAML_MAPPING_START_EVENT || e.type == YAML_SEQUENCE_START_EVENT;
		depth -= e.type == YAML_MAPPING_END_EVENT || e.type == YAML_SEQUENCE_END_EVENT;
		done = e.type == YAML_STREAM_END_EVENT;
		why = refuse_event(&e, documents, depth);
		if (why)
			complain_at(rd, &e.start_mark, "syntax", "%s", why);
		yaml_event_delete(&e);
	}
	return rd->report->n_errors == before ? 0 : -EINVAL;
}

static int with_parser(struct yaml_reader *rd, const char *text, size_t len,
		       int (*fn)(struct yaml_reader *rd, yaml_parser_t *p))
{
	yaml_parser_t p;
	int r;

	if (!yaml_parser_initialize(&p))
		return -ENOMEM;
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING); /* a UTF-16 mark is an error */
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	r = fn(rd, &p);
	yaml_parser_delete(&p);
	return r;
}

static int load_document(struct yaml_reader *rd, yaml_parser_t *p)
{
	if (!yaml_parser_load(p, &rd->doc)) {
		syntax_error(rd, p);
		return -EINVAL;
	}
	return 0;
}

int yaml_open(struct yaml_reader *rd, const char *text, size_t len, yaml_node_t **ret_root)
{
	yaml_node_t *root;
	int r = with_parser(rd, text, len, check_events);

	if (r == 0)
		r = with_parser(rd, text, len, load_document);
	if (r < 0)
		return r;

	root = yaml_document_get_root_node(&rd->doc);
	if (!root || is_null(root)) {
		yaml_close(rd);
		return -ENODATA;
	}
	if (root->type != YAML_MAPPING_NODE) {
		yaml_complain(rd, root, "", "type", "not a mapping of keys");
		yaml_close(rd);
		return -EINVAL;
	}
	*ret_root = root;
	return 0;
}

void yaml_close(struct yaml_reader *rd)
{
	yaml_document_delete(&rd->doc);
}

/* ---- mappings ---- */

static void join_path(char *ret, size_t cap, const char *path, const char *key)
{
	snprintf(ret, cap, "%s%s%.*s", path, *path ? "." : "", QUOTE_MAX, key);
}

static const struct yaml_field *field_of(const struct yaml_map *map, const char *key)
{
	for (const struct yaml_field *f = map->fields; f->key; f++)
		if (!strcmp(f->key, key))
			return f;
	return NULL;
}

static bool stands_before(struct yaml_reader *rd, const yaml_node_t *map,
			  const yaml_node_pair_t *at, const char *key)
{
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < at; p++) {
		const char *other = scalar_text(yaml_document_get_node(&rd->doc, p->key));

		if (other && !strcmp(other, key))
			return true;
	}
	return false;
}

/* The known key nearest to @key. */
static struct ghvm_near find_near_key(const struct yaml_map *map, const char *key)
{
	struct ghvm_near near = ghvm_near_begin(key);

	for (const struct yaml_field *f = map->fields; f->key; f++)
		ghvm_near_offer(&near, f->key);
	return near;
}

static void read_value(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f, void *dst)
{
	const unsigned int before = rd->report->n_errors;

	if (is_null(n) && !(f->flags & YAML_NULL))
		return;
	if (has_nul(n)) {
		yaml_complain(rd, n, path, "characters", "has a NUL character");
		return;
	}
	f->parse(rd, n, path, f, (uint8_t *)dst + f->offset);
	if (rd->report->n_errors == before)
		yaml_note(rd, n, path);
}

static void read_pair(struct yaml_reader *rd, const yaml_node_t *n, const yaml_node_pair_t *p,
		      const char *path, const struct yaml_map *map, void *dst)
{
	yaml_node_t *k = yaml_document_get_node(&rd->doc, p->key);
	const char *key = scalar_text(k);
	const struct yaml_field *f;
	char sub[sizeof(((struct ghvm_complaint *)NULL)->key)], text[GHVM_NEAR_TEXT];
	struct ghvm_near near;

	if (!key) {
		yaml_complain(rd, k, path, "type", "a key is not a word");
		return;
	}
	join_path(sub, sizeof(sub), path, key);
	f = field_of(map, key);
	if (!f) {
		near = find_near_key(map, key);
		yaml_complain(rd, k, sub, "unknown-key", "unknown key%s",
			      ghvm_near_text(&near, text));
	} else if (stands_before(rd, n, p, key)) {
		yaml_complain(rd, k, sub, "repeated-key", "is given twice");
	} else {
		read_value(rd, yaml_document_get_node(&rd->doc, p->value), sub, f, dst);
	}
}

yaml_node_t *yaml_find(struct yaml_reader *rd, yaml_node_t *map, const char *key)
{
	if (map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const char *other = scalar_text(yaml_document_get_node(&rd->doc, p->key));

		if (other && !strcmp(other, key))
			return yaml_document_get_node(&rd->doc, p->value);
	}
	return NULL;
}

/* True if a required key is missing. An unknown key similar to it counts as that key. */
static bool is_missing(struct yaml_reader *rd, yaml_node_t *n, const struct yaml_map *map,
		       const struct yaml_field *f)
{
	yaml_node_t *value = yaml_find(rd, n, f->key);

	if (value)
		return is_null(value);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		const char *key = scalar_text(yaml_document_get_node(&rd->doc, p->key));

		if (key && !field_of(map, key) && find_near_key(map, key).best == f->key)
			return false;
	}
	return true;
}

void yaml_read_map(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		   const struct yaml_map *map, void *dst, bool whole)
{
	char sub[sizeof(((struct ghvm_complaint *)NULL)->key)];

	if (n->type != YAML_MAPPING_NODE) {
		yaml_complain(rd, n, path, "type", "not a mapping of keys");
		return;
	}
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		read_pair(rd, n, p, path, map, dst);
	for (const struct yaml_field *f = map->fields; whole && f->key; f++) {
		if (!(f->flags & YAML_REQUIRED) || !is_missing(rd, n, map, f))
			continue;
		join_path(sub, sizeof(sub), path, f->key);
		yaml_complain(rd, n, sub, "missing-key", "is missing");
	}
}

void yaml_parse_map(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		    const struct yaml_field *f, void *dst)
{
	yaml_read_map(rd, n, path, f->arg, dst, rd->whole);
}

/* ---- values ---- */

void yaml_parse_size(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = scalar_text(n);
	uint64_t v;

	if (!s)
		yaml_complain(rd, n, path, "type", "not a size");
	else if (!ghvm_size_parse(s, &v))
		yaml_complain(rd, n, path, "size", "'%.*s' is not a size like 512M", QUOTE_MAX, s);
	else if (!v)
		yaml_complain(rd, n, path, "size", "must not be 0");
	else
		*(uint64_t *)dst = v;
}

/* Advice to remove quotes: quoted numbers and booleans are texts. */
static const char *unquote_hint(const yaml_node_t *n)
{
	return scalar_text(n) && !is_plain(n) ? ", but a text: remove the quotes" : "";
}

void yaml_parse_number(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f, void *dst)
{
	const struct yaml_limits *limits = f->arg;
	const char *s = is_plain(n) ? scalar_text(n) : NULL;
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

void yaml_parse_duration(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			 const struct yaml_field *f, void *dst)
{
	static const struct yaml_word units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "", 1000 }, { "min", 60000 }, { "h", 3600000 }, {},
	};
	const struct yaml_word *u = units;
	const char *s = scalar_text(n);
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
	const char *s = is_plain(n) ? scalar_text(n) : NULL;

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
	const char *s = scalar_text(n);
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
	yaml_complain(rd, n, path, "word", "'%.*s' is none of: %s%s", QUOTE_MAX, s ? s : "", list,
		      ghvm_near_text(&near, text));
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
	const char *s = scalar_text(n);
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

void yaml_parse_path(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = scalar_text(n), *why = refuse_path(rd, n, s);

	if (why)
		yaml_complain(rd, n, path, "path", "%s", why);
	else if (strlen(s) >= PATH_MAX)
		yaml_complain(rd, n, path, "length", "longer than a path may be");
	else if (!has_control(rd, n, path, s)) {
		replace_string(rd, s, dst);
		note_path(rd, n, path, s);
	}
}
