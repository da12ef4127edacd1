/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wait for the module's node: the module may be loaded later, or udev may not have set the owner of the
 * node yet. Thread: main.
 */
#pragma once

#include "daemon/manager/core/loop.h"

/**
 * struct node - embedded
 * @path: borrowed
 * @fd: inotify, owned; -1: the folder does not exist
 * @on_news: called when the node has appeared or changed
 */
struct node {
	const char *path;
	int fd;
	struct loop_watch watch;
	void *data;
	void (*on_news)(void *data);
};

/**
 * node_init() - watch the node
 * @uri: as for ghvm_host_open(); borrowed
 *
 * If the node exists but may not be opened yet, this first waits some seconds for that.
 *
 * Return: 0, also if the node cannot be watched, which is logged; negative errno.
 */
int node_init(struct node *n, struct loop *loop, const char *uri, void (*on_news)(void *data),
	      void *data);
/* Does nothing for a zeroed node. */
void node_done(struct node *n);
