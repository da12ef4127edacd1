/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where descriptors lie: NAME.yaml in the first folder that has one, and NAME.yaml.d/ (*.yaml)
 * of all folders, laid over it in the order of their names, as systemd does with units.
 */
#pragma once

#include "ghvm/error.h"

#include <stddef.h>

/**
 * struct ghvm_spec_file - one file, read
 * @name: its path; owned
 * @text: @len bytes, owned
 */
struct ghvm_spec_file {
	char *name;
	char *text;
	size_t len;
};

/* The main file first, then its drop-ins. */
struct ghvm_spec_files {
	struct ghvm_spec_file *v;
	size_t n;
};

/* @dirs, or the usual ones if it is NULL. Static. */
const char *const *ghvm_spec_dirs(const char *const *dirs);

/**
 * ghvm_spec_files_read() - all files of one VM
 * @name: checked
 * @dirs: NULL-terminated, in order; NULL: the usual ones
 * @ret: empty; done by the caller, also after a failure
 *
 * Thread: any. Only regular files are read; a symbolic link is not followed.
 *
 * Return: 0; -ENOENT no such VM; -E2BIG; another errno, with the path.
 */
int ghvm_spec_files_read(const char *name, const char *const *dirs, struct ghvm_spec_files *ret,
			 struct ghvm_error *err);
void ghvm_spec_files_done(struct ghvm_spec_files *files);

/**
 * ghvm_file_fail() - why a file was not opened
 * @path: of a file, opened with O_NOFOLLOW
 * @error: errno of that
 *
 * Of a symbolic link it says where that leads, to be named instead.
 *
 * Return: -@error.
 */
int ghvm_file_fail(const char *path, int error, struct ghvm_error *err);
