/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folders of descriptors, watched: that something in them has changed is known by itself.
 *
 * They need not be there yet; then what would hold them is watched. Thread: main.
 */
#pragma once

#include "daemon/manager/core/loop.h"

#include <stdbool.h>

/**
 * struct folders - embedded in the manager
 * @dirs: NULL-terminated; borrowed
 * @fd: of inotify, -1: there is none, and nothing is told
 * @pause: many changes that come together are told once
 * @fn: called with @data: read them again
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

/* Without inotify it only says so to the journal. @dirs outlive it. Return: 0; -ENOMEM. */
int folders_init(struct folders *f, struct loop *loop, const char *const *dirs, loop_fn fn,
		 void *data);
void folders_done(struct folders *f);

/* Have @fn called soon, as if something in them had changed. */
void folders_poke(struct folders *f);

/* Watch what is there now. Before they are read: what changes after that is told. */
void folders_watch(struct folders *f);
/* The same for the drop-ins of one VM. */
void folders_watch_drop_ins(struct folders *f, const char *name);
