/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor as read by the helper. It limits the files and the memory that the manager may request.
 *
 * The manager has fewer rights than the helper. An attacker who controls the manager must not get access
 * to files or memory that the descriptor does not name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ghvm/error.h"
#include "daemon/ipc/needs.h"
#include "ghvm/spec.h"

/**
 * struct descriptor - a descriptor and its needs
 * @result: 0; negative errno: it cannot be read, see @err
 * @complaints: all errors in the descriptor
 * @sent: it came from the manager
 * @needs: @n needs, with paths in @spec
 * @asked: the need was already requested
 */
struct descriptor {
	int result;
	struct ghvm_error err;
	struct ghvm_complaints complaints;
	bool sent;
	struct ghvm_spec spec;
	struct ghvm_need needs[GHVM_NEEDS_MAX];
	size_t n;
	bool asked[GHVM_NEEDS_MAX];
};

/* @dirs: as ghvm_spec_load() */
void descriptor_read(struct descriptor *d, const char *name, const char *const *dirs);
void descriptor_done(struct descriptor *d);

/**
 * descriptor_take() - use a text that the manager has sent: of a transient VM
 * @fd: borrowed, not trusted
 * @from: the user of the manager: files of the host that the text names are opened with the rights of that user
 *
 * Only a name without a descriptor on disk can be that of a transient VM. An error becomes @d->result.
 */
void descriptor_take(struct descriptor *d, const char *name, int fd,
		     const struct ghvm_spec_owner *from);

/**
 * descriptor_find() - find the need that the manager has requested
 * @ret: in @d, with its path
 *
 * Return: 0; @result if that is an error; -EBADMSG no such need, or it was already requested; -ESTALE the
 * size differs, perhaps because the descriptor was edited during the start.
 */
int descriptor_find(struct descriptor *d, const struct ghvm_need *asked,
		    const struct ghvm_need **ret, struct ghvm_error *err);

/**
 * descriptor_definer() - which user has defined the VM @name over the bus?
 * @ret_uid: set if true is returned
 *
 * Such a descriptor is DIR/vms/NAME.yaml and names a file in DIR/images/NAME.SERIAL.UID, DIR having one owner; all
 * files that a user other than root names are there. Return: false if there is no such file, or UID is root.
 */
bool descriptor_definer(const struct descriptor *d, const char *name, uint32_t *ret_uid);

/* May a file descriptor of this name be put into the unit's store? */
bool descriptor_stores(const struct descriptor *d, const char *name);
