/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Helpers: the root part of a VM's unit, before its runner and after it (daemon/ipc/protocol.h).
 *
 * Who can connect is root, since PID 1 made the socket so; it is checked again, and its
 * messages are still read with care. Thread: main.
 */
#pragma once

#include "daemon/manager/core/loop.h"
#include "daemon/manager/manager.h"

#include <stdbool.h>
#include <stddef.h>

#define PREPARE_HELPERS_MAX 128 /* at a time; more wait to be accepted */

struct helper;

/**
 * struct prepare - embedded in main()
 * @later, @pauses: nobody is accepted for now, as there is no room
 * @on_activity: called at every request; for the time-out of an idle manager without host
 */
struct prepare {
	struct manager *manager;
	int fd;
	struct loop_watch watch;
	struct loop_watch later;
	bool pauses;
	struct helper *first;
	size_t n;
	void (*on_activity)(void *data);
	void *data;
};

/* @fd: a listening SEQPACKET socket, taken over */
int prepare_init(struct prepare *p, struct manager *m, int fd);
void prepare_done(struct prepare *p);

/* Bind a listener for tests; owned by the caller. */
int prepare_bind(const char *path);
