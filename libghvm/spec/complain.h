/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Complaints about a descriptor, sorted by their places in its files.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/spec/files.h"
#include "ghvm/spec.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * struct spec_report - complaints collected while files are read
 * @files: the files being read; borrowed
 * @all: complaints so far, sorted by file, line and column; owned
 * @n_errors: errors so far, including those beyond the limit of kept ones
 * @failed: -ENOMEM if a complaint or a place could not be stored
 *
 * Thread: one.
 */
struct spec_report {
	const struct ghvm_spec_file *files;
	struct ghvm_complaints all;
	unsigned int n_errors;
	int failed;
};

/* Add a complaint about a place; @at->key is ignored. Text from files is made printable. */
void spec_complain(struct spec_report *report, enum ghvm_severity severity,
		   const struct ghvm_spec_place *at, const char *path, const char *rule,
		   const char *fmt, va_list ap) __attribute__((format(printf, 6, 0)));

/**
 * spec_report_finish() - hand over the complaints
 * @ret: complaints are appended to it; may be NULL
 * @err: set to the first error; may be NULL
 *
 * Return: 0; -EINVAL there is an error; -ENOMEM. @report is empty afterwards.
 */
int spec_report_finish(struct spec_report *report, struct ghvm_complaints *ret,
		       struct ghvm_error *err);

/* As ghvm_spec_complain(), but a warning. @rule: static. */
int spec_warn(const struct ghvm_spec *spec, const struct ghvm_error *err, const char *rule,
	      struct ghvm_complaints *all);

/* fields.c: true if @name, of @len bytes, is a top-level key. */
bool spec_has_section(const char *name, size_t len);

/* Record the place of @path, in place of an earlier one. */
void spec_note_place(struct spec_report *report, struct ghvm_spec *spec, const char *path,
		     const struct ghvm_spec_place *at);
/* Remove the places and the paths of all keys that begin with @prefix. */
void spec_forget_places(struct ghvm_spec *spec, const char *prefix);
#define SPEC_DEVICE_KEY_SIZE 64

/*
 * The key @member of the device @nth of a kind, as "devices[2].rng.region"; "devices" if the descriptor does not have
 * that device, or was read from no text.
 */
void spec_device_key(const struct ghvm_spec *spec, const char *kind, unsigned int nth,
		     const char *member, char ret[SPEC_DEVICE_KEY_SIZE]);

/* The place of @key, or of the nearest key above it, or the start of the first file. */
struct ghvm_spec_place spec_find_place(const struct ghvm_spec *spec, const char *key);
