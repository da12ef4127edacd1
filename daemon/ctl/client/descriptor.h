/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors in files of the caller, and sending one to the manager with the files that it names.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define DESCRIPTOR_FILES_MAX 16 /* as the manager takes */

/* Does the argument name a file, and not a VM? */
bool descriptor_is_file(const char *arg);

/* "some/where/demo.yaml" is a descriptor of the VM "demo". Return: 0; -EINVAL too long. */
int descriptor_name(const char *path, char ret[GHVM_NAME_SIZE]);

/* Read a file, or a pipe. @ret: owned. Return: 0; -EFBIG longer than 1M; another errno, with a message. */
int descriptor_read(const char *path, char **ret, size_t *ret_len, struct ghvm_error *err);

/**
 * descriptor_open() - open a file that a descriptor names
 * @key: of the descriptor, for the message
 * Return: a file descriptor of a regular file; negative errno, with a message.
 */
int descriptor_open(const char *key, const char *path, uint64_t *ret_size, struct ghvm_error *err);

/**
 * struct descriptor_sent - a descriptor and its files, as sealed memfds; owned
 * @spec: the text, in which paths are fd:KEY
 */
struct descriptor_sent {
	int spec;
	struct {
		char key[32];
		int fd;
	} files[DESCRIPTOR_FILES_MAX];
	size_t n;
};

/**
 * descriptor_send() - copy a descriptor and the files that it names into memfds
 * @file: its name, for messages
 * @kept: paths that begin so are not sent, but stay in the text; NULL: none
 * @complaints: about the text; appended to
 * @ret: descriptor_sent_done(), also after a failure
 *
 * The files are opened with the rights of the caller. Return: 0; negative errno, with a message.
 */
int descriptor_send(const char *name, const char *file, const char *text, size_t len,
		    const char *kept, struct descriptor_sent *ret,
		    struct ghvm_complaints *complaints, struct ghvm_error *err);
void descriptor_sent_done(struct descriptor_sent *sent);

/**
 * descriptor_run() - call RunVM
 * @ret_job: object path of its job, owned
 * Return: as client_call().
 */
int descriptor_run(sd_bus *bus, const char *name, const struct descriptor_sent *sent,
		   char **ret_job, struct ghvm_error *err);

/**
 * descriptor_define() - call DefineVM
 * @replace: an earlier definition of that name may exist
 * Return: as client_call().
 */
int descriptor_define(sd_bus *bus, const char *name, const struct descriptor_sent *sent,
		      bool replace, struct ghvm_error *err);
