/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints a spec with the file and line that each key comes from.
 */
#include "libghvm/spec/print.h"
#include "libghvm/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 128 /* of a key */
#define COLUMN 40     /* of the places, beyond shorter values */

/**
 * struct printer - the text so far
 * @f: keeps its errors until the end
 */
struct printer {
	FILE *f;
	const struct ghvm_spec *spec;
};

static const struct ghvm_spec_place *find_place(const struct ghvm_spec *spec, const char *path)
{
	for (size_t i = 0; i < spec->n_places; i++)
		if (!strcmp(spec->places[i].key, path))
			return &spec->places[i];
	return NULL;
}

/*
 * Print "# FILE:LINE" or "# default" at the end of a line of @len characters;
 * neither if the spec is of no file with a name.
 */
static void put_place(const struct printer *p, const char *path, long len)
{
	const struct ghvm_spec_place *at = find_place(p->spec, path);

	if (!p->spec->files || !*p->spec->files[0]) {
		fputc('\n', p->f);
		return;
	}
	fprintf(p->f, "%*s", len < COLUMN ? (int)(COLUMN - len) : 2, "");
	if (at)
		fprintf(p->f, "# %s:%u\n", p->spec->files[at->file], at->line);
	else
		fputs("# default\n", p->f);
}

static void put_scalar(const struct printer *p, const struct yaml_field *field, const void *of,
		       int indent, const char *path)
{
	const long before = ftell(p->f);

	fprintf(p->f, "%*s%s: ", indent, "", field->key);
	spec_put_scalar(p->f, field, of);
	put_place(p, path, ftell(p->f) - before);
}

static void put_map(const struct printer *p, const struct yaml_map *map, const void *of, int indent,
		    const char *path);

/* In the list of the file a device has a number, which is not in the spec: find it, the @nth of its kind. */
static void device_path(const struct ghvm_spec *spec, const char *kind, size_t nth,
			char ret[PATH_SIZE])
{
	const char *key, *dot;

	(void)snprintf(ret, PATH_SIZE, "devices[].%s", kind);
	for (size_t i = 0; i < spec->n_places; i++) {
		key = spec->places[i].key;
		dot = strchr(key, '.');
		if (!strncmp(key, "devices[", 8) && dot && !strcmp(dot + 1, kind) && nth-- == 0)
			(void)snprintf(ret, PATH_SIZE, "%s", key);
	}
}

static void put_devices(const struct printer *p, const struct yaml_map *map, int indent)
{
	char path[PATH_SIZE];
	size_t nth = 0;

	for (const struct yaml_field *d = map->fields; d->key; d++) {
		if (d->kind != YAML_MAP || spec_is_absent(d, p->spec))
			continue;
		nth = d != map->fields && !strcmp(d->key, d[-1].key) ? nth + 1 : 0;
		device_path(p->spec, d->key, nth, path);
		fprintf(p->f, "%*s- %s:\n", indent, "", d->key);
		put_map(p, d->arg, p->spec, indent + 4, path);
	}
}

static void put_regions(const struct printer *p, const struct yaml_map *map, int indent)
{
	char path[PATH_SIZE];

	for (size_t i = 0; i < p->spec->n_regions; i++) {
		(void)snprintf(path, sizeof(path), "regions[%zu]", i);
		fprintf(p->f, "%*s-\n", indent, "");
		put_map(p, map, &p->spec->regions[i], indent + 2, path);
	}
}

static void put_field(const struct printer *p, const struct yaml_field *field, const void *of,
		      int indent, const char *path)
{
	if (field->kind != YAML_MAP && field->kind != YAML_DEVICE_LIST &&
	    field->kind != YAML_REGION_LIST) {
		put_scalar(p, field, of, indent, path);
		return;
	}
	fprintf(p->f, "%*s%s:\n", indent, "", field->key);
	if (field->kind == YAML_MAP)
		put_map(p, field->arg, of, indent + 2, path);
	else if (field->kind == YAML_DEVICE_LIST)
		put_devices(p, field->arg, indent + 2);
	else
		put_regions(p, field->arg, indent + 2);
}

static void put_map(const struct printer *p, const struct yaml_map *map, const void *of, int indent,
		    const char *path)
{
	char key[PATH_SIZE];

	for (const struct yaml_field *field = map->fields; field->key; field++) {
		if (spec_is_absent(field, of))
			continue;
		(void)snprintf(key, sizeof(key), "%s%s%s", path, *path ? "." : "", field->key);
		put_field(p, field, of, indent, key);
	}
}

char *spec_explain(const struct ghvm_spec *spec)
{
	char *text = NULL;
	size_t len;
	struct printer p = { .f = open_memstream(&text, &len), .spec = spec };

	if (!p.f)
		return NULL;
	put_map(&p, &spec_fields, spec, 0, "");
	return ghvm_file_text(p.f, &text);
}
