/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A transient VM: the descriptor and the files of the call that runs it.
 *
 * They are for each start of its unit, and for a reboot in place. A later manager makes the descriptor again
 * from the state file and gets kernel and initrd from the runner (decision 54). Thread: main.
 */
#pragma once

#include "daemon/ipc/protocol.h"
#include "daemon/manager/instance/instance.h"
#include "daemon/manager/state/file.h"
#include "ghvm/error.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TRANSIENT_FILE_MAX (UINT64_C(1) << 30) /* bytes of one file */

/**
 * struct transient - see above
 * @uid: the user that its call came from
 * @text: the descriptor, in which paths may read fd:KEY; a sealed memfd, owned; -1: none yet
 * @fds: its files by kind, sealed memfds, owned; -1: none
 * @bytes: of all these
 * @memory: of its guest, as the descriptor says; 0: not known yet
 * @recalled: of an earlier manager: a file must be the one in @was
 */
struct transient {
	uid_t uid;
	int text;
	int fds[GHVM_LINK_KINDS];
	uint64_t bytes;
	uint64_t memory;
	bool recalled;
	struct store_file was[GHVM_LINK_KINDS];
};

/* @ret: owned, transient_free() */
int transient_new(uid_t uid, struct transient **ret);
/* Accepts NULL. */
void transient_free(struct transient *t);
void transient_freep(struct transient **t);

/**
 * transient_keep() - keep a duplicate of a file
 * @kind: KERNEL, INITRD or OVERLAY
 * @fd: borrowed
 * Return: 0; -EEXIST it has one of that kind; -ESTALE not the one that it was; as ghvm_file_sealed(); with a
 * message.
 */
int transient_keep(struct transient *t, enum ghvm_link_kind kind, int fd, struct ghvm_error *err);
/* Keep a copy of the descriptor. */
int transient_keep_text(struct transient *t, int fd, struct ghvm_error *err);
/* The same memory for each caller, with a position of its own. Return: a descriptor, owned; a negative errno. */
int transient_open_text(const struct transient *t);

/* As spec_parse_sent(), of its descriptor. */
int transient_spec(const struct transient *t, const char *name, struct ghvm_spec *ret,
		   struct ghvm_complaints *complaints, struct ghvm_error *err);

/* Of an earlier manager: without the files that the runner has. @rec: of a transient VM */
int transient_recall(const struct store_record *rec, struct transient **ret);

/* Provide the needs of @g that are files of @t. Return: 0; -ENOENT one is lost. */
int transient_give(const struct transient *t, struct guest *g, struct ghvm_error *err);
