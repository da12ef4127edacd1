/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A runner's connection: what it says, decoded, and what it is told (daemon/ipc/protocol.h).
 *
 * Its peer is the VM's own unprivileged process and not trusted: whatever it sends can at
 * most end its own VM. Thread: main.
 */
#pragma once

#include "daemon/manager/core/loop.h"
#include "daemon/ipc/queue.h"
#include "daemon/ipc/protocol.h"
#include "ghvm/machine.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct control_calls - what a runner says
 * @on_hello: who it claims to be
 * @on_ready: it wants to be started
 * @on_exited: its vCPUs saw the end: run state of the hypervisor
 * @on_stopping: it was asked to stop, from outside
 * @on_console: a stream socket; @fd is borrowed, a negative errno: it has none
 * @on_gone: the process or its connection ended, or it broke the protocol; once
 */
struct control_calls {
	void (*on_hello)(void *data, struct ghvm_vmid vmid, uint64_t incarnation);
	void (*on_ready)(void *data);
	void (*on_exited)(void *data, uint64_t state, uint64_t data0);
	void (*on_stopping)(void *data, enum ghvm_link_how how);
	void (*on_console)(void *data, uint32_t serial, int fd);
	void (*on_gone)(void *data, const char *why);
};

/**
 * struct control - embedded; fd -1: no runner
 * @pidfd: owned, from the hello on
 * @pid: as the kernel says of @pidfd; 0: none yet
 * @queue: for a runner that does not read; @again: when to try it
 */
struct control {
	struct loop *loop;
	const struct control_calls *calls;
	void *data;
	int fd;
	int pidfd;
	pid_t pid;
	struct loop_watch watch;
	struct loop_watch death;
	struct loop_watch again;
	struct ghvm_link_queue queue;
};

void control_init(struct control *c, struct loop *loop, const struct control_calls *calls,
		  void *data);
/* Closes; the runner sees the end. Reusable. */
void control_done(struct control *c);

/**
 * control_pair() - a connection for a runner that is yet to be
 * @ret_peer: the runner's end, owned by the caller
 */
int control_pair(struct control *c, int *ret_peer);

/* A listener for later managers, owned by the caller; an old one of that name is gone. */
int control_listen(const char *dir, const char *name);
void control_unlisten(const char *dir, const char *name);

/* Dial the listener of a runner that an earlier manager has left. -ECONNREFUSED: none is. */
int control_dial(struct control *c, const char *dir, const char *name);

bool control_connected(const struct control *c);

/*
 * Sending never fails here. A runner that does not read is told later; only one whose connection
 * has ended is gone, as on_gone says.
 */
void control_started(struct control *c);
void control_refused(struct control *c, const char *text);
void control_ended(struct control *c, enum ghvm_exit_type type, enum ghvm_link_action action);
void control_rebuilt(struct control *c, int machine, int grant);
void control_stop(struct control *c, enum ghvm_link_how how);
/* @flags: of enum ghvm_link_console */
void control_ask_console(struct control *c, uint32_t serial, uint8_t flags);
