/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start helpers: the part of a VM's unit that runs as root, before and after the runner
 * (daemon/ipc/protocol.h).
 *
 * Only root can connect to the socket; the manager checks that again, and validates all messages. Thread:
 * main.
 */
#pragma once

#include "daemon/manager/core/loop.h"
#include "daemon/manager/manager.h"

#include <stdbool.h>
#include <stddef.h>

#define PREPARE_HELPERS_MAX 128 /* at a time; further connections wait to be accepted */

struct helper;

/**
 * struct prepare - embedded in main()
 * @later, @pauses: connections are not accepted for now
 * @on_activity: called at each request; restarts the idle timer of a manager without a host
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
