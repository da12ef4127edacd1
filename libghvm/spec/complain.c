/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Complaints about a descriptor, and the places of its keys.
 *
 * Places are kept after the files are closed, so that later errors, of the plan or of an image,
 * are reported with the place of their key as well.
 */
#include "libghvm/spec/complain.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/printable.h"
#include "libghvm/spec/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLAINTS_MAX 64

/* ---- complaints ---- */

/* Of a path that is too long keep the end. */
static void put_file(struct ghvm_complaint *c, const char *file)
{
	const size_t len = strlen(file), cap = sizeof(c->file);

	snprintf(c->file, cap, "%s", len < cap ? file : file + len - cap + 1);
	ghvm_make_printable(c->file);
}

static bool sorts_before(const struct ghvm_complaint *a, const struct ghvm_complaint *b)
{
	if (a->nth_file != b->nth_file)
		return a->nth_file < b->nth_file;
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

static int insert_complaint(struct ghvm_complaints *all, const struct ghvm_complaint *c)
{
	struct ghvm_complaint *v;
	size_t i = all->n;

	if (all->n >= COMPLAINTS_MAX)
		return 0;
	v = reallocarray(all->v, all->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	all->v = v;
	for (; i > 0 && sorts_before(c, &v[i - 1]); i--)
		v[i] = v[i - 1];
	v[i] = *c;
	all->n++;
	return 0;
}

void spec_complain(struct spec_report *report, enum ghvm_severity severity,
		   const struct ghvm_spec_place *at, const char *path, const char *rule,
		   const char *fmt, va_list ap)
{
	struct ghvm_complaint c = {
		.severity = severity,
		.rule = rule,
		.nth_file = at->file,
		.line = at->line,
		.column = at->column,
	};

	put_file(&c, report->files[at->file].name);
	snprintf(c.key, sizeof(c.key), "%s", path);
	vsnprintf(c.text, sizeof(c.text), fmt, ap);
	ghvm_make_printable(c.key);
	ghvm_make_printable(c.text);
	report->n_errors += severity == GHVM_SEVERITY_ERROR;
	if (insert_complaint(&report->all, &c) < 0)
		report->failed = -ENOMEM;
}

const char *ghvm_complaint_text(const struct ghvm_complaint *c, char buf[GHVM_COMPLAINT_TEXT])
{
	snprintf(buf, GHVM_COMPLAINT_TEXT, "%s:%u:%u: %s%s%s%s", c->file, c->line, c->column,
		 c->severity == GHVM_SEVERITY_WARNING ? "warning: " : "", c->key,
		 *c->key ? ": " : "", c->text);
	return buf;
}

static void report_first(const struct ghvm_complaints *all, struct ghvm_error *err)
{
	char text[GHVM_COMPLAINT_TEXT];

	for (size_t i = 0; i < all->n; i++) {
		if (all->v[i].severity != GHVM_SEVERITY_ERROR)
			continue;
		(void)ghvm_error_set(err, -EINVAL, "%s", ghvm_complaint_text(&all->v[i], text));
		return;
	}
}

int spec_report_finish(struct spec_report *report, struct ghvm_complaints *ret,
		       struct ghvm_error *err)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = report->all;
	const unsigned int n_errors = report->n_errors;
	int r = report->failed;

	*report = (struct spec_report){ .files = report->files };
	for (size_t i = 0; ret && r == 0 && i < all.n; i++)
		r = insert_complaint(ret, &all.v[i]);
	if (r < 0)
		return ghvm_error_set(err, r, "out of memory");
	report_first(&all, err);
	return n_errors ? -EINVAL : 0;
}

void ghvm_complaints_done(struct ghvm_complaints *c)
{
	free(c->v);
	*c = (struct ghvm_complaints){};
}

/* ---- places ---- */

static struct ghvm_spec_place *known_place(const struct ghvm_spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->n_places; i++)
		if (!strcmp(spec->places[i].key, key))
			return &spec->places[i];
	return NULL;
}

void spec_note_place(struct spec_report *report, struct ghvm_spec *spec, const char *path,
		     const struct ghvm_spec_place *at)
{
	struct ghvm_spec_place *p = known_place(spec, path), *v;

	if (!p) {
		v = reallocarray(spec->places, spec->n_places + 1, sizeof(*v));
		if (!v) {
			report->failed = -ENOMEM;
			return;
		}
		spec->places = v;
		p = &v[spec->n_places++];
	}
	*p = *at;
	snprintf(p->key, sizeof(p->key), "%s", path);
}

void spec_forget_places(struct ghvm_spec *spec, const char *prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < spec->n_places; i++)
		if (strncmp(spec->places[i].key, prefix, strlen(prefix)) != 0)
			spec->places[n++] = spec->places[i];
	spec->n_places = n;
	spec_forget_paths(spec, prefix);
}

struct ghvm_spec_place spec_find_place(const struct ghvm_spec *spec, const char *key)
{
	char above[sizeof(((struct ghvm_spec_place *)NULL)->key)];
	const struct ghvm_spec_place *p;

	snprintf(above, sizeof(above), "%s", key);
	for (;;) {
		char *dot = strrchr(above, '.');

		p = known_place(spec, above);
		if (p || !dot)
			break;
		*dot = '\0';
	}
	return p ? *p : (struct ghvm_spec_place){ .line = 1, .column = 1 };
}

/* "devices[2].rng.region" is of the device @kind; then @ret_prefix is the length of "devices[2].". */
static bool is_of_device(const char *key, const char *kind, size_t *ret_prefix)
{
	const size_t n = strlen(kind);
	const char *rest = strchr(key, '.');

	if (strncmp(key, "devices[", 8) != 0 || !rest || strncmp(rest + 1, kind, n) != 0 ||
	    rest[1 + n] != '.')
		return false;
	*ret_prefix = (size_t)(rest + 1 - key);
	return true;
}

void spec_device_key(const struct ghvm_spec *spec, const char *kind, unsigned int nth,
		     const char *member, char ret[SPEC_DEVICE_KEY_SIZE])
{
	const char *last = "";
	size_t prefix = 0, before = 0, found = 0;

	snprintf(ret, SPEC_DEVICE_KEY_SIZE, "devices");
	for (size_t i = 0; i < spec->n_places; i++) {
		const char *key = spec->places[i].key;

		if (!is_of_device(key, kind, &prefix) ||
		    (prefix == before && !strncmp(key, last, prefix)))
			continue; /* another key of the same device */
		last = key;
		before = prefix;
		if (found++ == nth)
			snprintf(ret, SPEC_DEVICE_KEY_SIZE, "%.*s%s.%s", (int)prefix, key, kind,
				 member);
	}
}

/*
 * Length of the key at the start of a message like "memory.size: too small"; 0: none. A section
 * alone, as in "memory: the host has too little", is about the host, not the descriptor.
 */
static size_t leading_key(const char *msg)
{
	const char *colon = strstr(msg, ": ");
	const size_t top = strcspn(msg, ".[:");

	if (!colon || msg + top == colon || !spec_has_section(msg, top))
		return 0;
	return (size_t)(colon - msg);
}

static int as_complaint(const struct ghvm_spec *spec, const struct ghvm_error *err,
			struct ghvm_complaint *ret)
{
	const size_t len = leading_key(err->msg);
	struct ghvm_spec_place at;

	if (!len || !spec->files || !*spec->files[0]) /* parsed from memory, not from a file */
		return -ENOENT;
	*ret = (struct ghvm_complaint){ .severity = GHVM_SEVERITY_ERROR, .rule = "plan" };
	snprintf(ret->key, sizeof(ret->key), "%.*s", (int)len, err->msg);
	snprintf(ret->text, sizeof(ret->text), "%s", err->msg + len + 2);
	ghvm_make_printable(ret->text);
	at = spec_find_place(spec, ret->key);
	put_file(ret, spec->files[at.file]);
	ret->nth_file = at.file;
	ret->line = at.line;
	ret->column = at.column;
	return 0;
}

int spec_warn(const struct ghvm_spec *spec, const struct ghvm_error *err, const char *rule,
	      struct ghvm_complaints *all)
{
	struct ghvm_complaint c;
	int r = as_complaint(spec, err, &c);

	if (r < 0)
		return r;
	c.severity = GHVM_SEVERITY_WARNING;
	c.rule = rule;
	return insert_complaint(all, &c);
}

int ghvm_spec_complain(const struct ghvm_spec *spec, const struct ghvm_error *err,
		       struct ghvm_complaints *all)
{
	struct ghvm_complaint c;
	int r = as_complaint(spec, err, &c);

	return r < 0 ? r : insert_complaint(all, &c);
}

void ghvm_spec_locate(const struct ghvm_spec *spec, struct ghvm_error *err)
{
	struct ghvm_complaint c;
	int r = as_complaint(spec, err, &c);

	if (r == 0)
		(void)ghvm_error_set(err, err->code, "%s:%u:%u: %s", c.file, c.line, c.column,
				     err->msg);
}
