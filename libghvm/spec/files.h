/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptor files: NAME.yaml in the first folder that has one, and the drop-ins of NAME.yaml.d in
 * all folders, applied in the order of their names, as systemd does with units.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/spec.h"

#include <stddef.h>

/**
 * struct ghvm_spec_file - the contents of one file
 * @name: its path; owned
 * @text: @len bytes, owned
 * @owner: of the file
 */
struct ghvm_spec_file {
	char *name;
	char *text;
	size_t len;
	struct ghvm_spec_owner owner;
};

/* The main file first, then its drop-ins. */
struct ghvm_spec_files {
	struct ghvm_spec_file *v;
	size_t n;
};

/* Definitions that came over the bus: the manager owns the folder of the default ones. */
#define GHVM_SPEC_DEFINED "/var/lib/gunyah/vms"

/* @dirs, or the default folders if it is NULL. Static. */
const char *const *ghvm_spec_dirs(const char *const *dirs);

/**
 * ghvm_spec_files_read() - read all files of one VM
 * @name: a valid name
 * @dirs: NULL-terminated, in order; NULL: the default folders
 * @ret: empty; freed by the caller, also after a failure
 *
 * Thread: any. Only regular files are read; a symbolic link is not followed.
 *
 * Return: 0; -ENOENT no such VM; -EFBIG; -EINVAL too many drop-ins, or not a file; another
 * errno, with the path.
 */
int ghvm_spec_files_read(const char *name, const char *const *dirs, struct ghvm_spec_files *ret,
			 struct ghvm_error *err);
void ghvm_spec_files_done(struct ghvm_spec_files *files);

/**
 * spec_find_cid() - another VM that has the CID of @spec for its vsock
 * @dirs: as for ghvm_spec_load(); what cannot be read there has none
 * @ret: its name, or an empty string
 */
void spec_find_cid(const struct ghvm_spec *spec, const char *const *dirs, char ret[GHVM_NAME_SIZE]);

/**
 * ghvm_file_fail() - the error for a file that could not be opened
 * @path: of the file, opened with O_NOFOLLOW
 * @error: errno of open(), or that of ghvm_file_open(), for which EINVAL is no regular file
 *
 * For a symbolic link the message tells its target, to be used instead.
 *
 * Return: -@error.
 */
int ghvm_file_fail(const char *path, int error, struct ghvm_error *err);

/* The same for a file that the key @key of a descriptor names. */
int ghvm_file_fail_key(const char *key, const char *path, int error, struct ghvm_error *err);
