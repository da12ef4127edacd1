/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads libyaml's nodes by tables of keys.
 *
 * All events are checked before the document is built, so that it has no aliases, is not deep and has not so many
 * keys that reading them keeps the manager from its other work.
 */
#include "libghvm/spec/reader.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/near.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 8
#define EVENTS_MAX 4096 /* ten times what a descriptor with all keys and regions has */

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

const char *yaml_text(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE || has_nul(n))
		return NULL;
	return (const char *)n->data.scalar.value;
}

bool yaml_is_plain(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* True for YAML's null values: "~", "null" or nothing. */
static bool is_null(const yaml_node_t *n)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };
	const char *s = yaml_is_plain(n) ? yaml_text(n) : NULL;

	for (size_t i = 0; s && i < ARRAY_SIZE(words); i++)
		if (!strcmp(s, words[i]))
			return true;
	return false;
}

/* whole files */

/**
 * struct seen - the events of a file until now
 * @n: all of them
 * @depth: lists and mappings that are open
 */
struct seen {
	unsigned int n;
	unsigned int documents;
	unsigned int depth;
};

static void count_event(struct seen *seen, const yaml_event_t *e)
{
	seen->n++;
	seen->documents += e->type == YAML_DOCUMENT_START_EVENT;
	seen->depth += e->type == YAML_MAPPING_START_EVENT || e->type == YAML_SEQUENCE_START_EVENT;
	seen->depth -= e->type == YAML_MAPPING_END_EVENT || e->type == YAML_SEQUENCE_END_EVENT;
}

/* Why an event is refused; NULL: accepted. */
static const char *refuse_event(const yaml_event_t *e, const struct seen *seen)
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
	if (seen->documents > 1)
		return "there is a second document";
	if (seen->depth > DEPTH_MAX)
		return "nested too deeply";
	if (seen->n > EVENTS_MAX)
		return "too many keys and values before this one: no descriptor needs as many";
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
	struct seen seen = {};
	bool done = false;

	while (!done && rd->report->n_errors == before) {
		const char *why;
		yaml_event_t e;

		if (!yaml_parser_parse(p, &e)) {
			syntax_error(rd, p);
			break;
		}
		count_event(&seen, &e);
		done = e.type == YAML_STREAM_END_EVENT;
		why = refuse_event(&e, &seen);
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
	snprintf(ret, cap, "%s%s%.*s", path, *path ? "." : "", YAML_QUOTE_MAX, key);
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
		const char *other = yaml_text(yaml_document_get_node(&rd->doc, p->key));

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
	const char *key = yaml_text(k);
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
		const char *other = yaml_text(yaml_document_get_node(&rd->doc, p->key));

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
		const char *key = yaml_text(yaml_document_get_node(&rd->doc, p->key));

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
