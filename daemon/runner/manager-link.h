/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runner's end of the talk with the manager (daemon/ipc/protocol.h).
 *
 * Managers may be replaced while the guest runs: the connection from the start is only the first one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/ipc/queue.h"
#include "daemon/ipc/protocol.h"
#include "daemon/runner/devices/board.h"
#include "ghvm/types.h"

/**
 * struct control - connection and listener
 * @fd: connection to the manager, owned; -1: none
 * @listen: listening socket for the next manager, owned; -1: none
 * @queue: messages that wait for space in the socket
 *
 * Thread: main.
 */
struct control {
	int fd;
	int listen;
	struct ghvm_link_queue queue;
};

/* Takes ownership of @fd and @listen, and makes them non-blocking. */
void control_init(struct control *c, int fd, int listen);
void control_done(struct control *c);
void control_drop(struct control *c);

/* Return: true: connected to a new manager; the old connection is closed. */
bool control_accept(struct control *c);

/**
 * control_receive() - receive the next message
 * Return: 1; 0 none yet, or one to ignore; -EPIPE the connection was closed, or a message is malformed.
 */
int control_receive(struct control *c, struct ghvm_link_message *ret);

/* When to call control_flush(), in ms; -1: the queue is empty. */
int control_timeout(const struct control *c);
/* Send messages from the queue. */
void control_flush(struct control *c);

/*
 * Messages to the manager. If the manager does not read, messages are queued; with more than
 * GHVM_LINK_QUEUE_MAX in the queue, the connection is dropped.
 */
void control_hello(struct control *c, struct ghvm_vmid vmid, uint64_t incarnation);
void control_ready(struct control *c);
void control_exited(struct control *c, uint64_t state, uint64_t data0);
void control_stopping(struct control *c, enum ghvm_link_how how);
void control_pong(struct control *c, struct ghvm_link_message *ping);
/* @fd: borrowed */
void control_region_fd(struct control *c, uint32_t label, int fd);
/* What each of @devices has done; answers @question. */
void control_devices(struct control *c, struct ghvm_link_message *question,
		     const struct devices *devices);
/* @fd: borrowed */
void control_sent_fd(struct control *c, enum ghvm_link_kind kind, int fd);
/* @fd: borrowed; or a negative errno. @plain: the manager is of a version that expects no errno. */
void control_console_is(struct control *c, uint32_t serial, int fd, bool plain);
