/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is wrong with a descriptor, collected in the order in which it stands in its files.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/spec/files.h"
#include "ghvm/spec.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * struct spec_report - complaints while files are read
 * @files: which are read; borrowed
 * @all: so far, sorted by file, line and column; owned
 * @n_errors: so far, also those that are too many to be kept
 * @failed: no memory for a complaint, or for a place
 *
 * Thread: one.
 */
struct spec_report {
	const struct ghvm_spec_file *files;
	struct ghvm_complaints all;
	unsigned int n_errors;
	int failed;
};

/* Complain about a place; @at->key is not looked at. What came from a file is made printable. */
void spec_complain(struct spec_report *report, enum ghvm_severity severity,
		   const struct ghvm_spec_place *at, const char *path, const char *rule,
		   const char *fmt, va_list ap) __attribute__((format(printf, 6, 0)));

/**
 * spec_report_finish() - hand over what was collected
 * @ret: gets all complaints after those that it has; may be NULL
 * @err: gets the first error; may be NULL
 *
 * Return: 0; -EINVAL there is an error; -ENOMEM. @report is empty then.
 */
int spec_report_finish(struct spec_report *report, struct ghvm_complaints *ret,
		       struct ghvm_error *err);

/* spec.c: is that, @len bytes, a key at the top of a descriptor? */
bool spec_has_section(const char *name, size_t len);

/* Note where @path stands; an earlier place of it is forgotten. */
void spec_note_place(struct spec_report *report, struct ghvm_spec *spec, const char *path,
		     const struct ghvm_spec_place *at);
/* Forget the places of all keys that begin with @prefix. */
void spec_forget_places(struct ghvm_spec *spec, const char *prefix);
/* Of @key, or of the nearest key above it, or the start of the first file. */
struct ghvm_spec_place spec_find_place(const struct ghvm_spec *spec, const char *key);
