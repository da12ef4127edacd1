/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After the end of the runner: wait until all memory has been returned.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ghvm/error.h"

#define RELEASE_TIMEOUT_MS 80000 /* within the unit's TimeoutStopSec */

/* Return: a socket; negative errno. */
int release_dial(const char *path, struct ghvm_error *err);

/**
 * release_run() - have the manager tear down what is left of a VM
 * @path: the manager's socket; connected again if the manager is restarted
 * @wanted: the unit was stopped on request and has not failed
 * @ret_pages: set to the number of pages still in quarantine
 * @text: set to the manager's message, at least GHVM_ERROR_TEXT bytes
 *
 * Return: 0; -ETIMEDOUT; -EBADMSG; an error of the connection.
 */
int release_run(const char *path, const char *name, bool wanted, unsigned int timeout_ms,
		uint64_t *ret_pages, char *text, struct ghvm_error *err);
