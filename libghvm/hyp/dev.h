/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host on /dev/ghvm: ioctls of kmod/uapi/ghvm.h. Use ghvm_host_open().
 */
#pragma once

#include "ghvm/host.h"

/* Open the node without checks. Return: 0; -ENODEV no node; -EACCES; other errno. */
int ghvm_dev_open(const char *path, struct ghvm_host **ret, struct ghvm_error *err);

/* Make a host of an open node or grant file; @fd is taken over on success. Return: 0 or -ENOMEM. */
int ghvm_dev_from_fd(int fd, struct ghvm_host **ret);
