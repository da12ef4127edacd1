/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file descriptors that the start helper has put into the descriptor store, by name.
 */
#pragma once

#include <stddef.h>

#include "daemon/ipc/protocol.h"
#include "daemon/ipc/region-fds.h"
#include "ghvm/error.h"
#include "ghvm/spec.h"

/**
 * struct fds - owned file descriptors, -1: none
 * @grant: grant file of the module: hypercalls and virqs of this VM
 * @control: connection to the manager that built the VM
 * @listen: listening socket for later managers
 * @machine: sealed memfd with the description of the VM (runinfo)
 * @ram: memory that its devices access
 * @vsock: the host's vhost-vsock
 * @sockets: O_PATH descriptors of the sockets of the devices' back-ends; @disks: and of those of disks
 * @console_log: console log and older logs, in order
 * @refused: the start was refused permanently; there are no other file descriptors
 * @regions: memory of its shared regions, kept for later managers
 * @sent: files of a transient VM by their kind, kept for later managers
 * @wake: eventfd of each vCPU's wake-up virq
 */
struct fds {
	int grant;
	int control;
	int listen;
	int machine;
	int ram;
	int vsock;
	int sockets[GHVM_SPEC_VHOST_MAX];
	int disks[GHVM_SPEC_DISKS_MAX];
	int console_log[GHVM_SPEC_LOGS_MAX];
	int refused;
	int wake[GHVM_SPEC_CPUS_MAX];
	struct ghvm_region_fds regions;
	int sent[GHVM_LINK_KINDS];
};

void fds_init(struct fds *f);
void fds_done(struct fds *f);

/**
 * fds_add() - store a file descriptor by its name
 * @name: "grant", "control", "listen", "machine", "console-log", "console-log-N", "refused", GHVM_LINK_RAM_NAME,
 *        GHVM_LINK_VSOCK_NAME, GHVM_LINK_SOCKET_NAME or GHVM_LINK_DISK_NAME with a number, "wake-N",
 *        GHVM_LINK_REGION_NAME with a label, GHVM_LINK_SENT_NAME with a kind
 * @fd: taken over, also on failure; close-on-exec from here on
 *
 * Return: 0; -ENOENT no such name; -EEXIST the name is taken.
 */
int fds_add(struct fds *f, const char *name, int fd);

/**
 * fds_take() - take all file descriptors from the unit's store, and empty it
 *
 * Unknown names are dropped. Return: 0; -EEXIST a name occurs twice; another errno.
 */
int fds_take(struct fds *f, struct ghvm_error *err);

/* Return: 0; -ENOENT a file descriptor is missing, with a message. */
int fds_check(const struct fds *f, struct ghvm_error *err);
