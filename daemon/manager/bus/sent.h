/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files and descriptors that come with a call.
 *
 * They must be sealed memfds and are read, never mapped. A memfd is in memory, so neither a question
 * about it nor reading it can block, as a file of a network or of a FUSE server can; with these seals it
 * cannot change or shrink any more.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/spec.h"
#include "libghvm/spec/paths.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#define SENT_FILES_MAX 16

/**
 * struct sent_file - an entry of a{sh}; borrowed from the message
 * @size: bytes of the memfd
 * @used: the descriptor names it
 */
struct sent_file {
	const char *key;
	int fd;
	uint64_t size;
	bool used;
};

/* The a{sh} of a call. */
struct sent_files {
	struct sent_file v[SENT_FILES_MAX];
	size_t n;
};

/* May a VM have that name? Return: as sd-bus methods. */
int sent_check_name(const char *name, sd_bus_error *error);

/* Read the a{sh} of a call: keys are valid and unique, files may be read. Return: as sd-bus methods. */
int sent_read_files(sd_bus_message *m, uint64_t max, struct sent_files *ret, sd_bus_error *error);
/* Does the descriptor name each of them? Return: as sd-bus methods. */
int sent_check_used(const struct sent_files *files, sd_bus_error *error);
/* The file of @key; NULL: there is none. */
struct sent_file *sent_find(struct sent_files *files, const char *key);

/* Read a descriptor. @ret: owned, with a NUL after its @ret_len bytes. Return: as sd-bus methods. */
int sent_read_text(int fd, char **ret, size_t *ret_len, sd_bus_error *error);

/* May @uid have the guest's image authenticated in that way? Return: as sd-bus methods. */
int sent_check_auth(const struct ghvm_spec *spec, uid_t uid, sd_bus_error *error);

/*
 * Set @ret to all errors of a descriptor, one a line, each with its rule at the end; to @err if there is
 * no such list. Return: as sd-bus methods.
 */
int sent_fail(const struct ghvm_complaints *all, const struct ghvm_error *err, sd_bus_error *ret);
/* Set @ret to the one error of the path @p. */
int sent_fail_path(const struct ghvm_spec *spec, const struct ghvm_spec_path *p, const char *rule,
		   const char *text, sd_bus_error *ret);
