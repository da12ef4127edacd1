/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watch the descriptor folders for changes.
 *
 * The folders need not exist; then their parents are watched. Thread: main.
 */
#pragma once

#include "daemon/manager/core/loop.h"

#include <stdbool.h>

/**
 * struct folders - embedded in the manager
 * @dirs: NULL-terminated; borrowed
 * @fd: of inotify; -1: none, so changes are not noticed
 * @pause: timer that combines changes at about the same time
 * @fn: called with @data after a change
 */
struct folders {
	const char *const *dirs;
	int fd;
	struct loop_watch events;
	struct loop_watch pause;
	bool pausing;
	loop_fn fn;
	void *data;
};

/* Logs a warning if there is no inotify. @dirs: must outlive @f. Return: 0; -ENOMEM. */
int folders_init(struct folders *f, struct loop *loop, const char *const *dirs, loop_fn fn,
		 void *data);
void folders_done(struct folders *f);

/* Call @fn soon, as if a folder had changed. */
void folders_poke(struct folders *f);

/* Add watches for all folders that exist. Call it before reading them, so that no change is missed. */
void folders_watch(struct folders *f);
/* The same for the drop-in folders of a VM. */
void folders_watch_drop_ins(struct folders *f, const char *name);
