/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading YAML into structures by tables of keys, complaining by file, line and column.
 *
 * Nothing stops at the first complaint: people want to see all of them. What YAML can do
 * beyond mappings, lists and scalars (anchors, tags, several documents) is refused.
 */
#pragma once

#include "libghvm/spec/complain.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

/**
 * struct yaml_reader - one file while it is read
 * @report: gets complaints; borrowed
 * @spec: gets the places of keys; borrowed
 * @file: which of the report's files
 * @whole: required keys must be there; false for a drop-in, which has only what it changes
 * @doc: what libyaml made of it
 *
 * Thread: one.
 */
struct yaml_reader {
	struct spec_report *report;
	struct ghvm_spec *spec;
	unsigned int file;
	bool whole;
	yaml_document_t doc;
};

struct yaml_field;

/* Reads @n into @dst, or complains about it under the name @path and leaves @dst. */
typedef void (*yaml_parse_fn)(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			      const struct yaml_field *f, void *dst);

#define YAML_REQUIRED 1U
#define YAML_NULL 2U /* a null is a value; of all others it is the same as no key at all */

/**
 * struct yaml_field - one key of a mapping
 * @parse: of its value
 * @offset: of its member in the structure
 * @arg: what @parse wants: enum yaml_word table, struct yaml_map, limits
 */
struct yaml_field {
	const char *key;
	yaml_parse_fn parse;
	size_t offset;
	unsigned int flags;
	const void *arg;
};

/* The keys of a mapping; @fields ends with a NULL key. */
struct yaml_map {
	const struct yaml_field *fields;
};

/* Words and what they mean; ends with NULL. */
struct yaml_word {
	const char *word;
	int value;
};

/* Inclusive limits of a number. */
struct yaml_limits {
	uint64_t min;
	uint64_t max;
};

/**
 * yaml_open() - parse the text of one file
 * @rd: all but doc is set by the caller
 * @ret_root: its mapping; borrowed from @rd
 *
 * Return: 0 and yaml_close() is owed; -ENODATA there is nothing in it, or only comments; -EINVAL
 * complained; -ENOMEM.
 */
int yaml_open(struct yaml_reader *rd, const char *text, size_t len, yaml_node_t **ret_root);
void yaml_close(struct yaml_reader *rd);

/* Complain about a place. @n may be NULL: the start of the file. */
void yaml_complain(struct yaml_reader *rd, const yaml_node_t *n, const char *path, const char *rule,
		   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Note where @path stands. */
void yaml_note(struct yaml_reader *rd, const yaml_node_t *n, const char *path);

/* The value of @key in a mapping, or NULL. */
yaml_node_t *yaml_find(struct yaml_reader *rd, yaml_node_t *map, const char *key);

/*
 * Every key of @n by the table: unknown, repeated and (if @whole) missing ones are complaints. A key
 * whose value is null counts as missing.
 */
void yaml_read_map(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		   const struct yaml_map *map, void *dst, bool whole);

/* parse functions; @dst is what the comment says */
void yaml_parse_size(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* uint64_t; K, M, G, T */
void yaml_parse_number(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f,
		       void *dst); /* unsigned int; struct yaml_limits */
void yaml_parse_duration(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			 const struct yaml_field *f, void *dst); /* unsigned int, milliseconds */
void yaml_parse_bool(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* bool */
void yaml_parse_word(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* enum (int); struct yaml_word[] */
void yaml_parse_line(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* char *, owned; one line of it */
void yaml_parse_path(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* char *, owned, absolute */
void yaml_parse_map(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		    const struct yaml_field *f, void *dst); /* struct yaml_map */
