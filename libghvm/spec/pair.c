/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regions of two VMs: what both descriptors must agree on.
 */
#include "libghvm/spec/pair.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

const char *spec_peer(const struct ghvm_spec *spec)
{
	for (size_t i = 0; i < spec->n_regions; i++)
		if (*spec->regions[i].with)
			return spec->regions[i].with;
	return NULL;
}

const struct ghvm_spec_region *spec_shared_region(const struct ghvm_spec *spec, uint32_t label,
						  const char *peer)
{
	for (size_t i = 0; i < spec->n_regions; i++)
		if (spec->regions[i].label == label && !strcmp(spec->regions[i].with, peer))
			return &spec->regions[i];
	return NULL;
}

static int check_region(const struct ghvm_spec *spec, size_t nth, const struct ghvm_spec *other,
			struct ghvm_error *err)
{
	const struct ghvm_spec_region *mine = &spec->regions[nth], *theirs;

	theirs = spec_shared_region(other, mine->label, spec->name);
	if (!theirs)
		return ghvm_error_set(err, -EINVAL,
				      "regions[%zu].with: %s has no region %" PRIu32
				      " with %s: give both descriptors the same label",
				      nth, other->name, mine->label, spec->name);
	if (theirs->size != mine->size)
		return ghvm_error_set(err, -EINVAL,
				      "regions[%zu].size: %" PRIu64 ", and %" PRIu64
				      " in the descriptor of %s: give both the same size",
				      nth, mine->size, theirs->size, other->name);
	if (theirs->access != mine->access)
		return ghvm_error_set(
			err, -EINVAL,
			"regions[%zu].access: is another one in the descriptor of %s: "
			"give both the same access",
			nth, other->name);
	return 0;
}

/* A region of @other that @spec lacks. */
static int check_missing(const struct ghvm_spec *spec, const struct ghvm_spec *other,
			 struct ghvm_error *err)
{
	for (size_t i = 0; i < other->n_regions; i++) {
		const struct ghvm_spec_region *r = &other->regions[i];

		if (strcmp(r->with, spec->name) || spec_shared_region(spec, r->label, other->name))
			continue;
		return ghvm_error_set(err, -EINVAL,
				      "regions: %s has region %" PRIu32
				      " with %s, which is missing here",
				      other->name, r->label, spec->name);
	}
	return 0;
}

int spec_check_pair(const struct ghvm_spec *spec, const struct ghvm_spec *other,
		    struct ghvm_error *err)
{
	for (size_t i = 0; i < spec->n_regions; i++)
		if (!strcmp(spec->regions[i].with, other->name) &&
		    check_region(spec, i, other, err) < 0)
			return -EINVAL;
	return check_missing(spec, other, err);
}

int spec_refuse_peer(const struct ghvm_spec *spec, int r, const char *why, struct ghvm_error *err)
{
	size_t i = 0;

	while (!*spec->regions[i].with)
		i++;
	if (r == -ENOENT)
		return ghvm_error_set(err, -EINVAL,
				      "regions[%zu].with: %.400s; write its descriptor first, or "
				      "define it: a start needs both descriptors",
				      i, why);
	return ghvm_error_set(err, -EINVAL,
			      "regions[%zu].with: the descriptor of %s cannot be read or has "
			      "errors: see 'ghvmctl validate %s'",
			      i, spec->regions[i].with, spec->regions[i].with);
}
