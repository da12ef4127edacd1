/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The paths in a descriptor: files of the host, or in a descriptor that comes with a call over the
 * bus also fd:KEY, a file that comes with the same call.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/spec.h"
#include "libghvm/spec/files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define SPEC_FD "fd:"
#define SPEC_DISK_IMAGE "devices[].disk.image" /* each disk has it: see spec_device_place() */
#define SPEC_KEY_SIZE 33		       /* of KEY, with its NUL */

/* True for 1 to 32 letters, digits, '.', '_' and '-', of which the first is a letter or digit. */
bool spec_key_valid(const char *key);

/* The KEY of a path that reads fd:KEY; NULL: it is another path, or KEY is not valid. */
const char *spec_path_key(const char *path);

/* As ghvm_spec_parse(), for a descriptor that came with a call: its paths may read fd:KEY. */
int spec_parse_sent(const char *name, const char *file, const char *text, size_t len,
		    struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		    struct ghvm_error *err);

/**
 * spec_replace_paths() - the text of a descriptor with other paths
 * @spec: read from @text alone
 * @text: @len bytes
 * @values: one for each of @spec->paths; NULL: that path stays
 * @ret_len: length of the result
 *
 * All else stays as it is, comments and the numbers of lines included. Return: malloc'ed, with a
 * NUL at the end; NULL: out of memory.
 */
char *spec_replace_paths(const struct ghvm_spec *spec, const char *text, size_t len,
			 const char *const *values, size_t *ret_len);

/* Print @value as a text of YAML, in quotes. Errors are those of the stream. */
void spec_put_quoted(FILE *f, const char *value);

/* The owner of the file in which @spec has the path of @key; NULL: it has none. Borrowed. */
const struct ghvm_spec_owner *spec_path_owner(const struct ghvm_spec *spec, const char *key);

/*
 * The place of a key of a device, "devices[].KIND.KEY" of the device number @nth that has it; NULL: none has. Its
 * owner is spec->owners[place->file]. Borrowed.
 */
const struct ghvm_spec_place *spec_device_place(const struct ghvm_spec *spec, const char *key,
						size_t nth);

/**
 * spec_note_path() - record a path, in place of an earlier one of that key
 * @path: its value is copied, @begin and @end are characters of @file
 * Return: 0; -ENOMEM.
 */
int spec_note_path(struct ghvm_spec *spec, const struct ghvm_spec_path *path,
		   const struct ghvm_spec_file *file);
/* Remove the paths of all keys that begin with @prefix. */
void spec_forget_paths(struct ghvm_spec *spec, const char *prefix);
void spec_free_paths(struct ghvm_spec *spec);
