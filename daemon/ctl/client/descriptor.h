/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors in files of the caller, sending one to the manager with the files that it names, and asking it
 * for one that has no file.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/plan.h"
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

struct ctl;

/**
 * struct descriptor_told - a descriptor that the manager has told
 * @text: owned; NULL: the descriptor is in files
 * @sent: @text is that of the call, with its comments; else the manager has made it, a key a line
 * @input: of the files that came with the call of a transient VM, borrowed from @reply; 0 or NULL: not told
 * @reply: owned
 */
struct descriptor_told {
	char *text;
	size_t len;
	bool sent;
	struct ghvm_plan_input input;
	sd_bus_message *reply;
};

/**
 * descriptor_load() - the descriptor of a VM, as a start would use it
 * @ret_told: descriptor_told_done(), also after a failure
 *
 * It is in a descriptor folder with its drop-ins, or, if there is none, that of a transient VM, of which the
 * manager is asked. With --running it is the one that the guest was started with.
 *
 * Return: 0; -ENOENT no such VM; as client_call(), ghvm_spec_load(). With a message or complaints.
 */
int descriptor_load(const struct ctl *ctl, const char *name, struct descriptor_told *ret_told,
		    struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		    struct ghvm_error *err);
void descriptor_told_done(struct descriptor_told *told);
