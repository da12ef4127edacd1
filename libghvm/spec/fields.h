/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of the keys of a descriptor: read by reader.c, printed by print.c, digested by digest.c.
 */
#pragma once

#include "ghvm/spec.h"
#include "libghvm/spec/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* KIND, the way to parse it, what it may be, the default, the rank in the digest */
#define ROW(type, key, member, kind, parse, flags, arg, initial, rank)                             \
	{                                                                                          \
		key, YAML_##kind, parse, offsetof(type, member), flags, arg, initial, rank         \
	}
#define FIELD(...) ROW(struct ghvm_spec, __VA_ARGS__)
#define REGION_FIELD(...) ROW(struct ghvm_spec_region, __VA_ARGS__)
#define SECTION(key, flags, map)                                                                   \
	{                                                                                          \
		key, YAML_MAP, yaml_parse_map, 0, flags, map, 0, 0                                 \
	}
#define SPECIAL(key, kind, parse, flags, arg)                                                      \
	{                                                                                          \
		key, YAML_##kind, parse, 0, flags, arg, 0, 0                                       \
	}

extern const struct yaml_map spec_fields;	 /* of a struct ghvm_spec */
extern const struct yaml_map spec_region_fields; /* of a struct ghvm_spec_region */
extern const struct yaml_map spec_device_fields; /* of a struct ghvm_spec: of each kind of device */
extern const struct yaml_limits spec_label_limits;

/* Read the list of devices, which replaces that of an earlier file. @dst: a struct ghvm_spec */
void spec_parse_devices(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			const struct yaml_field *f, void *dst);

/* Is it a list? Else it is complained about. */
bool spec_is_list(struct yaml_reader *rd, const yaml_node_t *n, const char *path);

/* Set all fields of @map but texts to their defaults. */
void spec_set_defaults(const struct yaml_map *map, void *of);

/* Free all texts; the pointers stay. */
void spec_free_texts(const struct yaml_map *map, struct ghvm_spec *spec);

/* The value of a field of @of; 0 if it is none of BOOL, WORD, NUMBER, SIZE, TIME and REGISTER. */
uint64_t spec_field_number(const struct yaml_field *f, const void *of);
/* True of a field without a key in the descriptor: its value is chosen later. */
bool spec_field_chosen(const struct yaml_field *f, const void *of);
/* Is it a TEXT or a NAME? */
bool spec_field_is_text(const struct yaml_field *f);
/* The value of a TEXT or a NAME; NULL: absent. */
const char *spec_field_text(const struct yaml_field *f, const void *of);

/* The field of that rank in @map and the maps in it; NULL: there is none. */
const struct yaml_field *spec_field_ranked(const struct yaml_map *map, unsigned int rank);
