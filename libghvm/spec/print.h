/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Printing the keys of a spec.
 */
#pragma once

#include "ghvm/spec.h"
#include "libghvm/spec/fields.h"

#include <stdbool.h>
#include <stdio.h>

/* The value of a field that is neither a map nor a list. Errors are the stream's. */
void spec_put_scalar(FILE *f, const struct yaml_field *field, const void *of);
/* Is there nothing to print of this field? */
bool spec_is_absent(const struct yaml_field *field, const void *of);

/**
 * spec_explain() - print a spec as YAML, a key a line, with the place that each value comes from
 * @spec: read from files, or from a text; if its name is "", the places are left out
 *
 * Return: malloc'ed; NULL: out of memory.
 */
char *spec_explain(const struct ghvm_spec *spec);
