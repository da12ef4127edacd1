/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The paths in a descriptor.
 *
 * libyaml counts characters, not bytes, so their places are converted once.
 */
#include "libghvm/spec/paths.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool spec_key_valid(const char *key)
{
	size_t n = strnlen(key, SPEC_KEY_SIZE);

	if (!n || n >= SPEC_KEY_SIZE || !isalnum((unsigned char)*key))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)key[i]) && !strchr("._-", key[i]))
			return false;
	return true;
}

const char *spec_path_key(const char *path)
{
	const size_t n = strlen(SPEC_FD);

	return !strncmp(path, SPEC_FD, n) && spec_key_valid(path + n) ? path + n : NULL;
}

/* The byte at which the character number @nth begins. */
static size_t byte_of(const struct ghvm_spec_file *f, size_t nth)
{
	size_t i = 0;

	for (; i < f->len; i++)
		if (((unsigned char)f->text[i] & 0xc0) != 0x80 && nth-- == 0)
			break;
	return i;
}

static struct ghvm_spec_path *known_path(const struct ghvm_spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->n_paths; i++)
		if (!strcmp(spec->paths[i].key, key))
			return &spec->paths[i];
	return NULL;
}

const struct ghvm_spec_owner *spec_path_owner(const struct ghvm_spec *spec, const char *key)
{
	const struct ghvm_spec_path *p = known_path(spec, key);

	return p ? &spec->owners[p->file] : NULL;
}

const struct ghvm_spec_place *spec_device_place(const struct ghvm_spec *spec, const char *key,
						size_t nth)
{
	const char *rest = strchr(key, ']');

	for (size_t i = 0; rest && i < spec->n_places; i++) {
		const char *in = strchr(spec->places[i].key, ']');

		if (in && !strcmp(in, rest) &&
		    !strncmp(spec->places[i].key, key, strlen("devices[")) && nth-- == 0)
			return &spec->places[i];
	}
	return NULL;
}

static int add_path(struct ghvm_spec *spec, const struct ghvm_spec_path *path)
{
	struct ghvm_spec_path *v = reallocarray(spec->paths, spec->n_paths + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	spec->paths = v;
	v[spec->n_paths++] = *path;
	return 0;
}

int spec_note_path(struct ghvm_spec *spec, const struct ghvm_spec_path *path,
		   const struct ghvm_spec_file *file)
{
	struct ghvm_spec_path p = *path, *known = known_path(spec, path->key);
	int r;

	p.begin = byte_of(file, path->begin);
	p.end = byte_of(file, path->end);
	p.value = strdup(path->value);
	if (!p.value)
		return -ENOMEM;
	if (known) {
		free(known->value);
		*known = p;
		return 0;
	}
	r = add_path(spec, &p);
	if (r < 0)
		free(p.value);
	return r;
}

void spec_forget_paths(struct ghvm_spec *spec, const char *prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < spec->n_paths; i++) {
		if (strncmp(spec->paths[i].key, prefix, strlen(prefix)) != 0)
			spec->paths[n++] = spec->paths[i];
		else
			free(spec->paths[i].value);
	}
	spec->n_paths = n;
}

void spec_free_paths(struct ghvm_spec *spec)
{
	for (size_t i = 0; i < spec->n_paths; i++)
		free(spec->paths[i].value);
	free(spec->paths);
}

/* In single quotes only the quote itself is special. */
void spec_put_quoted(FILE *f, const char *value)
{
	fputc('\'', f);
	for (; *value; value++) {
		if (*value == '\'')
			fputc('\'', f);
		fputc(*value, f);
	}
	fputc('\'', f);
}

static void put_text(FILE *f, const struct ghvm_spec *spec, const char *text, size_t len,
		     const char *const *values)
{
	size_t done = 0;

	for (size_t i = 0; i < spec->n_paths; i++) {
		const struct ghvm_spec_path *p = &spec->paths[i];

		if (!values[i] || p->begin < done)
			continue;
		(void)fwrite(text + done, 1, p->begin - done, f); /* the stream keeps the error */
		spec_put_quoted(f, values[i]);
		done = p->end;
	}
	(void)fwrite(text + done, 1, len - done, f);
}

char *spec_replace_paths(const struct ghvm_spec *spec, const char *text, size_t len,
			 const char *const *values, size_t *ret_len)
{
	char *buf = NULL;
	FILE *f = open_memstream(&buf, ret_len);

	if (!f)
		return NULL;
	put_text(f, spec, text, len, values);
	return ghvm_file_text(f, &buf);
}
