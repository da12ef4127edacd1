/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register VMs with systemd-machined, so that machinectl shows them.
 *
 * machined may be absent, masked or slow: no start or stop depends on it.
 */
#pragma once

#include <sys/types.h>

/* Return: 0; -ENOENT or -EHOSTUNREACH without machined; another errno. */
int machined_register(const char *name, pid_t leader);
int machined_unregister(const char *name);
