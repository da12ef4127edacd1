/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The module's node, which may come late: the module is loaded after us, or udev has not given the
 * node to us yet. Thread: main.
 */
#pragma once

#include "daemon/manager/core/loop.h"

/**
 * struct node - embedded
 * @path: borrowed
 * @fd: inotify, owned; -1: its folder is not there
 * @on_news: it has come, or changed
 */
struct node {
	const char *path;
	int fd;
	struct loop_watch watch;
	void *data;
	void (*on_news)(void *data);
};

/**
 * node_init() - watch for it
 * @uri: as of ghvm_host_open(); borrowed
 *
 * A node that is there and not ours yet is waited for first, for a few seconds at most.
 *
 * Return: 0, also if it cannot be watched, which is logged; negative errno.
 */
int node_init(struct node *n, struct loop *loop, const char *uri, void (*on_news)(void *data),
	      void *data);
/* Right for a zeroed one. */
void node_done(struct node *n);
