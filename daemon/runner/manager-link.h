/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runner's end of the talk with the manager (daemon/ipc/protocol.h).
 *
 * A manager may go and another come while the guest runs: the connection that we were
 * started with is only the first one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/ipc/queue.h"
#include "daemon/ipc/protocol.h"
#include "ghvm/types.h"

/**
 * struct control - connection and listener
 * @fd: to the manager, owned, -1: there is none
 * @listen: where the next one dials, owned, or -1
 * @queue: what the manager has no room for yet
 *
 * Thread: main.
 */
struct control {
	int fd;
	int listen;
	struct ghvm_link_queue queue;
};

/* Takes both over; they never block from here on. */
void control_init(struct control *c, int fd, int listen);
void control_done(struct control *c);
void control_drop(struct control *c);

/* Return: true: a new manager is there, the old connection is closed. */
bool control_accept(struct control *c);

/**
 * control_receive() - the next message
 * Return: 1; 0 nothing yet, or not for us; -EPIPE the manager has gone, or makes no sense.
 */
int control_receive(struct control *c, struct ghvm_link_message *ret);

/* For how long to wait before control_flush(), in ms; -1: nothing waits. */
int control_timeout(const struct control *c);
/* Try again what the manager had no room for. */
void control_flush(struct control *c);

/*
 * Messages to the manager. One that does not read for the moment gets them later; only when
 * more than GHVM_LINK_QUEUE_MAX wait is it as good as gone, and the connection is dropped.
 */
void control_hello(struct control *c, struct ghvm_vmid vmid, uint64_t incarnation);
void control_ready(struct control *c);
void control_exited(struct control *c, uint64_t state, uint64_t data0);
void control_stopping(struct control *c, enum ghvm_link_how how);
void control_pong(struct control *c, uint32_t serial);
/* @fd is borrowed; a negative errno: there is no console. @plain: the manager knows no errno. */
void control_console_is(struct control *c, uint32_t serial, int fd, bool plain);
