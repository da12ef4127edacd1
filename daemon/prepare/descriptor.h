/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The helper's own reading of the descriptor, which is root's file: what a manager may ask for.
 *
 * The manager has fewer rights than we. Somebody who has taken it over must not get at a file,
 * or at memory, that the descriptor does not name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ghvm/error.h"
#include "daemon/ipc/needs.h"
#include "ghvm/spec.h"

/**
 * struct descriptor - what it says
 * @result: 0; negative errno: it cannot be read, @err says why
 * @complaints: all that is wrong with it
 * @needs: @n of them, their paths in @spec
 * @asked: once is enough
 */
struct descriptor {
	int result;
	struct ghvm_error err;
	struct ghvm_complaints complaints;
	struct ghvm_spec spec;
	struct ghvm_need needs[GHVM_NEEDS_MAX];
	size_t n;
	bool asked[GHVM_NEEDS_MAX];
};

/* @dirs: as ghvm_spec_load() */
void descriptor_read(struct descriptor *d, const char *name, const char *const *dirs);
void descriptor_done(struct descriptor *d);

/**
 * descriptor_find() - what the descriptor says to @asked
 * @ret: in @d, with its path
 *
 * Return: 0; why it could not be read; -EBADMSG it says nothing of the kind, or was asked already;
 * -ESTALE it says something else, maybe since it was edited just now.
 */
int descriptor_find(struct descriptor *d, const struct ghvm_need *asked,
		    const struct ghvm_need **ret, struct ghvm_error *err);

/* May something of this name be in the unit's store? */
bool descriptor_stores(const struct descriptor *d, const char *name);
