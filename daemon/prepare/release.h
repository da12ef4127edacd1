/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After the runner: wait until the manager has every page back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ghvm/error.h"

#define RELEASE_TIMEOUT_MS 80000 /* within the unit's TimeoutStopSec */

/* Return: a socket; negative errno. */
int release_dial(const char *path, struct ghvm_error *err);

/**
 * release_run() - undo what is left of a VM
 * @path: of the manager's socket, dialled again if the manager is restarted meanwhile
 * @wanted: its unit was stopped, and nothing failed
 * @ret_pages: set to what is still in quarantine
 * @text: set to the manager's words, at least GHVM_ERROR_TEXT bytes
 *
 * Return: 0; -ETIMEDOUT; -EBADMSG; what dialling failed with.
 */
int release_run(const char *path, const char *name, bool wanted, unsigned int timeout_ms,
		uint64_t *ret_pages, char *text, struct ghvm_error *err);
