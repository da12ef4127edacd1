/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading YAML into structures by tables of keys, complaining by file, line and column.
 *
 * Parsing continues after a complaint, so that users see all of them. YAML features beyond
 * mappings, lists and scalars (anchors, tags, several documents) are refused.
 */
#pragma once

#include "libghvm/spec/complain.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

/**
 * struct yaml_reader - a file being read
 * @report: collects complaints; borrowed
 * @spec: records the places of keys; borrowed
 * @file: index among the report's files
 * @whole: required keys must exist; false for a drop-in
 * @sent: the file came with a call: its paths may read fd:KEY
 * @doc: the parsed document
 *
 * Thread: one.
 */
struct yaml_reader {
	struct spec_report *report;
	struct ghvm_spec *spec;
	unsigned int file;
	bool whole;
	bool sent;
	yaml_document_t doc;
};

struct yaml_field;

/* Parse @n into @dst, or add a complaint about @path and leave @dst unchanged. */
typedef void (*yaml_parse_fn)(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			      const struct yaml_field *f, void *dst);

#define YAML_QUOTE_MAX 40 /* of a bad value, in a complaint */

#define YAML_REQUIRED 1U
#define YAML_NULL 2U /* a null is a value; for other fields it counts as no key */
/* a SIZE of 0, a REGISTER not given: no key, it is chosen later; a BOOL that is false: no device */
#define YAML_CHOSEN 4U

/* Type of the member of a key. */
enum yaml_kind {
	YAML_BOOL,     /* bool */
	YAML_WORD,     /* enum; @arg is a struct yaml_word[] */
	YAML_NUMBER,   /* unsigned int; @arg is a struct yaml_limits */
	YAML_SIZE,     /* uint64_t */
	YAML_TIME,     /* unsigned int, milliseconds */
	YAML_REGISTER, /* struct ghvm_spec_register; @arg is a uint64_t, its alignment, or NULL */
	YAML_TEXT,     /* char *, owned */
	YAML_NAME,     /* char[GHVM_NAME_SIZE], a VM's name; "": none */
	YAML_MAP,      /* keys of the same structure; @arg is a struct yaml_map */
	YAML_DEVICE_LIST, /* list of maps of one key, of the same structure; @arg is their map */
	YAML_REGION_LIST, /* list of struct ghvm_spec_region; @arg is the map of one */
	YAML_CONSTANT,	  /* no member, always the minimum of @arg, a struct yaml_limits */
	YAML_UNSTORED,	  /* no member: checked only */
};

/**
 * struct yaml_field - one key of a mapping
 * @kind: type of its member
 * @parse: parses its value
 * @offset: offset of its member in the structure
 * @arg: argument of @parse: enum yaml_word table, struct yaml_map, limits
 * @initial: default; of a text there is none
 * @rank: 1, 2, ...: place in the digest, which managers before this one computed in that order;
 *        a new key has the next one
 */
struct yaml_field {
	const char *key;
	enum yaml_kind kind;
	yaml_parse_fn parse;
	size_t offset;
	unsigned int flags;
	const void *arg;
	uint64_t initial;
	unsigned int rank;
};

/* The keys of a mapping; @fields ends with a NULL key. */
struct yaml_map {
	const struct yaml_field *fields;
};

/* Words and their values; ends with NULL. */
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
 * @rd: all members but doc are set by the caller
 * @ret_root: its mapping; borrowed from @rd
 *
 * Return: 0, call yaml_close() later; -ENODATA empty, or only comments; -EINVAL after a
 * complaint; -ENOMEM.
 */
int yaml_open(struct yaml_reader *rd, const char *text, size_t len, yaml_node_t **ret_root);
void yaml_close(struct yaml_reader *rd);

/* Add a complaint about @n; NULL: about the start of the file. */
void yaml_complain(struct yaml_reader *rd, const yaml_node_t *n, const char *path, const char *rule,
		   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Record the place of @path. */
void yaml_note(struct yaml_reader *rd, const yaml_node_t *n, const char *path);

/* The text of a scalar; NULL if it is not a scalar or contains a NUL. */
const char *yaml_text(const yaml_node_t *n);
/* True for a scalar without quotes. */
bool yaml_is_plain(const yaml_node_t *n);

/* The value of @key in a mapping, or NULL. */
yaml_node_t *yaml_find(struct yaml_reader *rd, yaml_node_t *map, const char *key);

/*
 * Read all keys of @n by the table. Unknown, repeated and (if @whole) missing keys are
 * complaints. A key with a null value counts as missing.
 */
void yaml_read_map(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		   const struct yaml_map *map, void *dst, bool whole);

/* parse functions; the type of @dst is noted at each */
void yaml_parse_size(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* uint64_t; K, M, G, T */
void yaml_parse_number(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f,
		       void *dst); /* unsigned int; struct yaml_limits */
void yaml_parse_register(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			 const struct yaml_field *f,
			 void *dst); /* struct ghvm_spec_register; its alignment */
void yaml_parse_duration(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			 const struct yaml_field *f, void *dst); /* unsigned int, milliseconds */
void yaml_parse_bool(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* bool */
void yaml_parse_word(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* enum (int); struct yaml_word[] */
void yaml_parse_line(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f, void *dst); /* char *, owned; one line of it */
void yaml_parse_path(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		     const struct yaml_field *f,
		     void *dst); /* char *, owned; absolute, or fd:KEY */
void yaml_parse_socket(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f,
		       void *dst); /* char *, owned; absolute, of the host */
void yaml_parse_map(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		    const struct yaml_field *f, void *dst); /* struct yaml_map */
