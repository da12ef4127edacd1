/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Digest of a descriptor.
 */
#include "libghvm/spec/digest.h"

#include <stdio.h>
#include <string.h>

#include "libghvm/spec/fields.h"

/* Keys of the first managers, which mixed all of them. These numbers never change. */
#define FIRST_RANKS 17
#define FIRST_REGION_RANKS 4

/* FNV-1a: detects edits; not secure against attacks. */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 0x100000001b3ULL;
	return h;
}

static uint64_t mix_number(uint64_t h, uint64_t v)
{
	return mix(h, &v, sizeof(v));
}

static uint64_t mix_text(uint64_t h, const char *s)
{
	return s ? mix(h, s, strlen(s) + 1) : mix_number(h, 1);
}

static bool is_default(const struct yaml_field *f, const void *of)
{
	if (spec_field_is_text(f))
		return !spec_field_text(f, of);
	if (f->kind == YAML_REGISTER)
		return spec_field_chosen(f, of);
	return spec_field_number(f, of) == f->initial;
}

/*
 * Ranks after @first_n are mixed only if they are not the default: a descriptor that does not use a
 * new key keeps the digest that an earlier manager computed.
 */
static uint64_t mix_fields(uint64_t h, const struct yaml_map *map, const void *of,
			   unsigned int first_n)
{
	const struct yaml_field *f;

	for (unsigned int rank = 1; (f = spec_field_ranked(map, rank)); rank++) {
		if (rank > first_n && is_default(f, of))
			continue;
		if (rank > first_n)
			h = mix_number(h, rank);
		h = spec_field_is_text(f) ? mix_text(h, spec_field_text(f, of))
					  : mix_number(h, spec_field_number(f, of));
	}
	return h;
}

void spec_digest(const struct ghvm_spec *spec, char ret[17])
{
	uint64_t h = 0xcbf29ce484222325ULL;

	h = mix_text(h, spec->name);
	h = mix_fields(h, &spec_fields, spec, FIRST_RANKS);
	for (size_t i = 0; i < spec->n_regions; i++)
		h = mix_fields(h, &spec_region_fields, &spec->regions[i], FIRST_REGION_RANKS);
	(void)snprintf(ret, 17, "%016llx", (unsigned long long)h); /* fits */
}
