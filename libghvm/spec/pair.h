/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two descriptors that name each other: each has regions that are `with` the other VM.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/spec.h"

/* The VM that has regions together with that of @spec, borrowed; NULL: there is none. */
const char *spec_peer(const struct ghvm_spec *spec);

/* The region of that label which @spec has together with @peer; NULL: there is none. */
const struct ghvm_spec_region *spec_shared_region(const struct ghvm_spec *spec, uint32_t label,
						  const char *peer);

/**
 * spec_check_pair() - do both descriptors say the same of the regions that they share?
 * @spec: names @other
 *
 * The guests may have different rights, and the regions different addresses.
 *
 * Return: 0; -EINVAL, and the error begins with a key of @spec.
 */
int spec_check_pair(const struct ghvm_spec *spec, const struct ghvm_spec *other,
		    struct ghvm_error *err);

/**
 * spec_refuse_peer() - the descriptor of the other VM cannot be used
 * @spec: has a peer
 * @r: why: -ENOENT, not found; any other errno, its errors are for those who may read it, so @why is not told
 * @why: the error of the look-up
 *
 * Return: -EINVAL, with the key of @spec that names the other VM.
 */
int spec_refuse_peer(const struct ghvm_spec *spec, int r, const char *why, struct ghvm_error *err);
