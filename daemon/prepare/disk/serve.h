/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serving a disk of a VM: its image where the storage daemon sees it and no other, and the units (decision 69).
 */
#pragma once

#include "daemon/prepare/disk/disk.h"

/**
 * disk_enter_host() - go where PID 1 has its mounts
 *
 * Before an image is opened: a file can only be mounted where it was opened. The caller has one thread. Return: 0;
 * negative errno.
 */
int disk_enter_host(void);

/**
 * disk_start() - let a storage daemon serve a disk
 *
 * What an earlier start of the VM has left of this disk is removed first. Return: an O_PATH descriptor of the socket,
 * to which all users may connect; -EBUSY another VM or process uses the image, with its name as far as known; another
 * errno. Every message begins with a key.
 */
int disk_start(const struct disk *d, struct ghvm_error *err);

/* End the storage daemons of @vm, and remove what disk_start() has made. Repeatable; errors are logged. */
void disk_stop_all(const char *dir, const char *vm);
