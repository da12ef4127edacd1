/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a descriptor names, opened as root and passed on read-only.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "ghvm/error.h"
#include "ghvm/spec.h"

#define FILES_LOG_DIR "/var/log/gunyah"
#define FILES_USERS_DIR "users" /* in it: UID.NAME.log of VMs that came over the bus */

#define FILES_VSOCK "/dev/vhost-vsock"

/* What is kept of the logs in it of one user, when another VM of that user starts (decision 65). */
#define FILES_KEPT_LOGS 64
#define FILES_KEPT_BYTES (UINT64_C(512) << 20)

/**
 * files_open() - open an image
 * @key: key of the descriptor, for the error message
 * @owner: of the descriptor that names it
 *
 * It is opened with the rights of @owner: a user who may write a descriptor, as the manager may those
 * that came over the bus, gets no file through this helper that the user could not read. If the last
 * component of @path is a symbolic link, all of its path and its target must be root's. The type of the file is checked before it is opened,
 * and must be a regular file. Return: a file descriptor; negative errno, with a message.
 */
int files_open(const char *key, const char *path, const struct ghvm_spec_owner *owner,
	       struct ghvm_error *err);

/**
 * files_open_writable() - open an image that the guest may write
 *
 * As files_open().
 */
int files_open_writable(const char *key, const char *path, const struct ghvm_spec_owner *owner,
			struct ghvm_error *err);

/**
 * files_open_socket() - find the socket of a device's back-end
 * @key, @owner: as for files_open()
 *
 * It is not connected to: the runner does that, and again after the back-end was restarted, so the socket has
 * to be writable for the runner, which is a user of its own. What protects the socket is the folder that it is
 * in. Return: an O_PATH descriptor; negative errno, with a message.
 */
int files_open_socket(const char *key, const char *path, const struct ghvm_spec_owner *owner,
		      struct ghvm_error *err);

/**
 * files_open_vsock() - open the kernel's vhost-vsock, and take an address with it
 * @key: as for files_open()
 * @cid: it is taken until the last process has closed the file
 *
 * Return: a file descriptor; -EADDRINUSE another file has @cid; negative errno, with a message.
 */
int files_open_vsock(const char *key, unsigned int cid, struct ghvm_error *err);

/**
 * files_open_log() - open or create a console log
 * @nth: 0: DIR/NAME.log, append only; others: DIR/NAME.log.NTH, for older output
 *
 * The file descriptor is readable, because the runner, which cannot open files, rotates the logs.
 * Return: a file descriptor; negative errno, with a message.
 */
int files_open_log(const char *dir, const char *name, unsigned int nth, struct ghvm_error *err);

/**
 * files_open_user_log() - the same for a VM that a user runs or has defined over the bus, under ever new names
 * @uid: the user who runs or has defined the VM
 *
 * It is DIR/users/UID.NAME.log. Before the first log of a VM is opened, the oldest ones of that user are
 * removed that are more, or larger together, than what is kept. Logs of other users stay.
 */
int files_open_user_log(const char *dir, uid_t uid, const char *name, unsigned int nth,
			struct ghvm_error *err);
