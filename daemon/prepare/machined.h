/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling machined, so that machinectl shows the VM.
 *
 * It may be absent, masked or slow: no start and no stop depends on it.
 */
#pragma once

#include <sys/types.h>

/* Return: 0; negative errno, -ENOENT and -EHOSTUNREACH where there is no machined. */
int machined_register(const char *name, pid_t leader);
int machined_unregister(const char *name);
