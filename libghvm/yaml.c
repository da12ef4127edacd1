/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libyaml's nodes by tables of keys.
 *
 * The events are looked through before the document is built, so that nothing in it can
 * refer to anything else: the tree is a tree, and not deep.
 */
#include "libghvm/yaml.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8
#define COMPLAINTS_MAX 64
#define STRING_MAX 2047 /* arm64's COMMAND_LINE_SIZE less its NUL */
#define QUOTE_MAX 40	/* of a bad value, in a complaint */

/* ---- complaints ---- */

struct place {
	unsigned int line;
	unsigned int column;
};

static struct place place_of(const yaml_node_t *n)
{
	if (!n)
		return (struct place){ 1, 1 };
	return (struct place){ (unsigned int)n->start_mark.line + 1,
			       (unsigned int)n->start_mark.column + 1 };
}

static void keep(struct yaml_reader *rd, const struct ghvm_complaint *c)
{
	struct ghvm_complaint *v;

	if (!rd->complaints || rd->complaints->n >= COMPLAINTS_MAX)
		return;
	v = reallocarray(rd->complaints->v, rd->complaints->n + 1, sizeof(*v));
	if (!v)
		return; /* the first error is in @err all the same */
	v[rd->complaints->n++] = *c;
	rd->complaints->v = v;
}

/* Bytes of the UTF-8 character at @s, or 0: it is cut off, or none. */
static size_t character(const uint8_t *s)
{
	const size_t n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/*
 * What came from a file is shown on terminals and sent over the bus: no control characters,
 * and no character cut in two where the text did not fit.
 */
static void make_printable(char *text)
{
	uint8_t *s = (uint8_t *)text;

	while (*s) {
		size_t n = character(s);

		if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) /* C1: NEL, CSI and so on */
			n = 0;
		if (n == 0 || iscntrl(*s))
			*s = '?';
		s += n ? n : 1; /* the rest of what is none goes the same way */
	}
}

static void complain_at(struct yaml_reader *rd, enum ghvm_severity severity, struct place at,
			const char *path, const char *rule, const char *fmt, va_list ap)
{
	struct ghvm_complaint c = {
		.severity = severity,
		.rule = rule,
		.line = at.line,
		.column = at.column,
	};

	snprintf(c.file, sizeof(c.file), "%s", rd->file);
	snprintf(c.key, sizeof(c.key), "%s", path);
	vsnprintf(c.text, sizeof(c.text), fmt, ap);
	make_printable(c.file);
	make_printable(c.key);
	make_printable(c.text);
	keep(rd, &c);
	if (severity != GHVM_SEVERITY_ERROR)
		return;
	if (rd->n_errors++ == 0)
		(void)ghvm_error_set(rd->err, -EINVAL, "%s:%u:%u: %s%s%s", c.file, c.line, c.column,
				     c.key, *c.key ? ": " : "", c.text);
}

void yaml_complain(struct yaml_reader *rd, const yaml_node_t *n, const char *path, const char *rule,
		   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(rd, GHVM_SEVERITY_ERROR, place_of(n), path, rule, fmt, ap);
	va_end(ap);
}

void yaml_warn(struct yaml_reader *rd, const yaml_node_t *n, const char *path, const char *rule,
	       const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_at(rd, GHVM_SEVERITY_WARNING, place_of(n), path, rule, fmt, ap);
	va_end(ap);
}

static void complain_mark(struct yaml_reader *rd, yaml_mark_t mark, const char *rule,
			  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void complain_mark(struct yaml_reader *rd, yaml_mark_t mark, const char *rule,
			  const char *fmt, ...)
{
	const struct place at = { (unsigned int)mark.line + 1, (unsigned int)mark.column + 1 };
	va_list ap;

	va_start(ap, fmt);
	complain_at(rd, GHVM_SEVERITY_ERROR, at, "", rule, fmt, ap);
	va_end(ap);
}

/* ---- the file as a whole ---- */

/* What we do not take, by its event; NULL: fine. */
static const char *unwanted(const yaml_event_t *e, unsigned int documents, unsigned int depth)
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

static void syntax_error(struct yaml_reader *rd, const yaml_parser_t *p)
{
	complain_mark(rd, p->problem_mark, "syntax", "not YAML: %s%s%s",
		      p->problem ? p->problem : "cannot be read", p->context ? ", " : "",
		      p->context ? p->context : "");
}

/* Return: 0, or -EINVAL when there is something that a descriptor has no use for. */
static int look_through(struct yaml_reader *rd, yaml_parser_t *p)
{
	unsigned int documents = 0, depth = 0;
	bool done = false;

	while (!done && !rd->n_errors) {
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
		why = unwanted(&e, documents, depth);
		if (why)
			complain_mark(rd, e.start_mark, "syntax", "%s", why);
		yaml_event_delete(&e);
	}
	return rd->n_errors ? -EINVAL : 0;
}

static int with_parser(struct yaml_reader *rd, const char *text, size_t len,
		       int (*fn)(struct yaml_reader *rd, yaml_parser_t *p))
{
	yaml_parser_t p;
	int r;

	if (!yaml_parser_initialize(&p))
		return -ENOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	r = fn(rd, &p);
	yaml_parser_delete(&p);
	return r;
}

static int load(struct yaml_reader *rd, yaml_parser_t *p)
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
	int r = with_parser(rd, text, len, look_through);

	if (r == 0)
		r = with_parser(rd, text, len, load);
	if (r < 0)
		return r;

	root = yaml_document_get_root_node(&rd->doc);
	if (!root || root->type != YAML_MAPPING_NODE) {
		yaml_complain(rd, root, "", "type", root ? "not a mapping of keys" : "empty");
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

/* A scalar's text, or NULL: another kind, or with a NUL inside. */
static const char *scalar(const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value;

	if (n->type != YAML_SCALAR_NODE || strlen(s) != n->data.scalar.length)
		return NULL;
	return s;
}

/* Numbers and words for true and false are never quoted. */
static const char *plain(const yaml_node_t *n)
{
	const char *s = scalar(n);

	return s && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? s : NULL;
}

static void join(char *ret, size_t cap, const char *path, const char *key)
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
		const char *other = scalar(yaml_document_get_node(&rd->doc, p->key));

		if (other && !strcmp(other, key))
			return true;
	}
	return false;
}

static void read_pair(struct yaml_reader *rd, const yaml_node_t *n, const yaml_node_pair_t *p,
		      const char *path, const struct yaml_map *map, void *dst)
{
	yaml_node_t *k = yaml_document_get_node(&rd->doc, p->key);
	const char *key = scalar(k);
	const struct yaml_field *f;
	char sub[sizeof(((struct ghvm_complaint *)NULL)->key)];

	if (!key) {
		yaml_complain(rd, k, path, "type", "a key is not a word");
		return;
	}
	join(sub, sizeof(sub), path, key);
	f = field_of(map, key);
	if (!f)
		yaml_complain(rd, k, sub, "unknown-key", "unknown key");
	else if (stands_before(rd, n, p, key))
		yaml_complain(rd, k, sub, "repeated-key", "stands here twice");
	else
		f->parse(rd, yaml_document_get_node(&rd->doc, p->value), sub, f,
			 (uint8_t *)dst + f->offset);
}

yaml_node_t *yaml_find(struct yaml_reader *rd, yaml_node_t *map, const char *key)
{
	if (map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const char *other = scalar(yaml_document_get_node(&rd->doc, p->key));

		if (other && !strcmp(other, key))
			return yaml_document_get_node(&rd->doc, p->value);
	}
	return NULL;
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
		if (!(f->flags & YAML_REQUIRED) || yaml_find(rd, n, f->key))
			continue;
		join(sub, sizeof(sub), path, f->key);
		yaml_complain(rd, n, sub, "missing-key", "is missing");
	}
}

void yaml_parse_map(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		    const struct yaml_field *f, void *dst)
{
	yaml_read_map(rd, n, path, f->arg, dst, rd->whole);
}

/* ---- values ---- */

static unsigned int size_shift(char **end)
{
	static const char suffixes[] = "KMGT";
	const char *at = **end ? strchr(suffixes, **end) : NULL;

	if (!at)
		return 0;
	(*end)++;
	return 10 * (unsigned int)(at - suffixes + 1);
}

/* Digits, or 0x and digits; strtoull() alone would take signs and blanks. */
static bool whole_number(const char *s, char **end, unsigned long long *ret)
{
	const bool hex = !strncmp(s, "0x", 2);

	if (!isdigit((unsigned char)*s) || (hex && !isxdigit((unsigned char)s[2])))
		return false;
	errno = 0;
	*ret = strtoull(s, end, hex ? 16 : 10);
	return errno == 0;
}

void yaml_parse_size(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = plain(n);
	unsigned int shift = 0;
	unsigned long long v;
	char *end;

	if (!s) {
		yaml_complain(rd, n, path, "type", "not a size");
		return;
	}
	if (!whole_number(s, &end, &v)) {
		yaml_complain(rd, n, path, "size", "'%.*s' is not a size", QUOTE_MAX, s);
		return;
	}
	shift = size_shift(&end);
	if (*end || v > UINT64_MAX >> shift)
		yaml_complain(rd, n, path, "size", "'%.*s' is not a size", QUOTE_MAX, s);
	else
		*(uint64_t *)dst = v << shift;
}

void yaml_parse_number(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f, void *dst)
{
	const struct yaml_limits *limits = f->arg;
	const char *s = plain(n);
	unsigned long long v;
	char *end;

	if (!s || !whole_number(s, &end, &v) || *end)
		yaml_complain(rd, n, path, "number", "not a whole number");
	else if (v < limits->min || v > limits->max)
		yaml_complain(rd, n, path, "range", "%llu is not in %" PRIu64 " to %" PRIu64, v,
			      limits->min, limits->max);
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
	const char *s = plain(n);
	unsigned long long v;
	char *end;

	if (s && whole_number(s, &end, &v))
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
	const char *s = plain(n);

	if (s && !strcmp(s, "true"))
		*(bool *)dst = true;
	else if (s && !strcmp(s, "false"))
		*(bool *)dst = false;
	else
		yaml_complain(rd, n, path, "type", "neither true nor false");
}

void yaml_parse_word(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = scalar(n);
	char list[128] = "";
	size_t at = 0;

	for (const struct yaml_word *w = f->arg; w->word; w++) {
		if (s && !strcmp(s, w->word)) {
			*(int *)dst = w->value;
			return;
		}
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at ? ", " : "",
				       w->word);
		if (at >= sizeof(list))
			at = sizeof(list) - 1;
	}
	yaml_complain(rd, n, path, "word", "'%.*s' is none of: %s", QUOTE_MAX, s ? s : "", list);
}

static void replace(struct yaml_reader *rd, const yaml_node_t *n, const char *path, const char *s,
		    char **dst)
{
	char *copy = strdup(s);

	if (!copy) {
		yaml_complain(rd, n, path, "memory", "out of memory");
		return;
	}
	free(*dst);
	*dst = copy;
}

void yaml_parse_string(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f, void *dst)
{
	const char *s = scalar(n);

	if (!s) {
		yaml_complain(rd, n, path, "type", "not a text");
		return;
	}
	if (strlen(s) > STRING_MAX) {
		yaml_complain(rd, n, path, "length", "longer than %d characters", STRING_MAX);
		return;
	}
	for (const char *c = s; *c; c++) {
		if (iscntrl((unsigned char)*c)) {
			yaml_complain(rd, n, path, "characters", "has a control character");
			return;
		}
	}
	replace(rd, n, path, s, dst);
}

void yaml_parse_path(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst)
{
	const char *s = scalar(n);

	if (!s || *s != '/')
		yaml_complain(rd, n, path, "path", "not an absolute path");
	else if (strlen(s) >= PATH_MAX)
		yaml_complain(rd, n, path, "length", "longer than a path may be");
	else
		replace(rd, n, path, s, dst);
}
