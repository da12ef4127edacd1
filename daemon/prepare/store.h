/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where descriptors wait for the runner: the unit's store in systemd, or, without systemd,
 * our own process until it becomes the runner.
 *
 * The unit's store adds: a name used twice is there twice. So names are removed before
 * anything is stored, and again if the start fails, since what is left in a store keeps
 * the manager's other ends open.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghvm/error.h"

#define STORE_MAX 64	   /* descriptors of one VM */
#define STORE_NAME_SIZE 32 /* with the final NUL */

/**
 * struct store - what was stored
 * @keep: descriptors are kept in @fds for store_exec(), instead of passed to systemd
 */
struct store {
	bool keep;
	size_t n;
	char names[STORE_MAX][STORE_NAME_SIZE];
	int fds[STORE_MAX];
};

/* Removes what an earlier start may have left. */
void store_init(struct store *s, bool keep);

/* The same, of the window of shared memory with this label. */
void store_forget_window(struct store *s, uint32_t label);

/* Closes what is kept. */
void store_done(struct store *s);

/**
 * store_add() - store @fd under @name
 * @fd: taken over, also on failure
 * Return: 0; -EINVAL not a good name; -EEXIST; -ENOSPC; what systemd said.
 */
int store_add(struct store *s, const char *name, int fd, struct ghvm_error *err);

/* Wait until systemd has them. Return: 0; -ETIMEDOUT. */
int store_sync(struct store *s, struct ghvm_error *err);

/* The start failed: take everything out again. */
void store_remove(struct store *s);

/* Become @runner NAME, with what is kept. Returns only on failure, a negative errno. */
int store_exec(struct store *s, const char *runner, const char *name);
