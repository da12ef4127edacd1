/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File descriptors for the runner, in the unit's descriptor store of systemd or, without systemd, in this
 * process until it executes the runner.
 *
 * The unit's store keeps several file descriptors with the same name. All names are therefore removed at
 * the start. They are also removed if the start fails, so that the manager notices that its connections
 * are closed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghvm/error.h"

#define STORE_MAX 64	   /* file descriptors of one VM */
#define STORE_NAME_SIZE 32 /* with the final NUL */

/**
 * struct store - stored file descriptors
 * @keep: keep them in @fds for store_exec(), instead of passing them to systemd
 */
struct store {
	bool keep;
	size_t n;
	char names[STORE_MAX][STORE_NAME_SIZE];
	int fds[STORE_MAX];
};

/* Also removes file descriptors left by an earlier start. */
void store_init(struct store *s, bool keep);

/* Remove the file descriptor of the shared region with this label. */
void store_forget_region(struct store *s, uint32_t label);

/* Closes kept file descriptors. */
void store_done(struct store *s);

/**
 * store_add() - store @fd under @name
 * @fd: taken over, also on failure
 * Return: 0; -EINVAL invalid name; -EEXIST; -ENOSPC; an error of sd_notify().
 */
int store_add(struct store *s, const char *name, int fd, struct ghvm_error *err);

/* Wait until systemd has received all file descriptors. Return: 0; -ETIMEDOUT. */
int store_sync(struct store *s, struct ghvm_error *err);

/* The start has failed: empty the store. */
void store_remove(struct store *s);

/* Execute @runner NAME with the kept file descriptors. Return: negative errno; only on failure. */
int store_exec(struct store *s, const char *runner, const char *name);
