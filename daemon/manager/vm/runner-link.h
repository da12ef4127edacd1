/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection to a runner: decoded messages from it, and messages to it (daemon/ipc/protocol.h).
 *
 * The runner is an unprivileged process and is not trusted: its messages can at most end its own VM.
 * Thread: main.
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
 * struct control_calls - messages of the runner
 * @on_hello: the VM it claims to run
 * @on_ready: the guest can be started
 * @on_exited: the vCPUs have seen the end of the guest: run state of the hypervisor
 * @on_stopping: the runner was asked to stop, by a signal
 * @on_console: a stream socket, @fd borrowed; or a negative errno
 * @on_devices: @n devices, borrowed; what is said of them may be wrong
 * @on_region_fd: memory of a region, a memfd, borrowed
 * @on_sent_fd: a file of a transient VM, a sealed memfd, borrowed
 * @on_pong: answers control_ping()
 * @on_gone: the process or the connection ended, or it violated the protocol; called once
 */
struct control_calls {
	void (*on_hello)(void *data, struct ghvm_vmid vmid, uint64_t incarnation);
	void (*on_ready)(void *data);
	void (*on_exited)(void *data, uint64_t state, uint64_t data0);
	void (*on_stopping)(void *data, enum ghvm_link_how how);
	void (*on_console)(void *data, uint32_t serial, int fd);
	void (*on_devices)(void *data, uint32_t serial, const struct ghvm_link_device *v, int n);
	void (*on_region_fd)(void *data, uint32_t label, int fd);
	void (*on_sent_fd)(void *data, enum ghvm_link_kind kind, int fd);
	void (*on_pong)(void *data, uint32_t serial);
	void (*on_gone)(void *data, const char *why);
};

/**
 * struct control - embedded; fd -1: no runner
 * @pidfd: owned, set by the first message
 * @pid: of @pidfd, from the kernel; 0: none yet
 * @queue: messages that wait for space in the socket; @again: timer to send them
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
/* Close the connection; the runner notices it. @c can be used again. */
void control_done(struct control *c);

/**
 * control_pair() - create the connection for a runner that will be started
 * @ret_peer: the runner's end, owned by the caller
 */
int control_pair(struct control *c, int *ret_peer);

/* Create the listening socket for later managers, owned by the caller; replaces an old one. */
int control_listen(const char *dir, const char *name);
void control_unlisten(const char *dir, const char *name);

/* Connect to the runner of an earlier manager. Return: 0; -ECONNREFUSED no runner; another errno. */
int control_dial(struct control *c, const char *dir, const char *name);

bool control_connected(const struct control *c);

/*
 * Messages to the runner. Sending never fails: if the runner does not read, messages are queued; a broken
 * connection is reported by on_gone.
 */
void control_started(struct control *c);
void control_refused(struct control *c, const char *text);
void control_ended(struct control *c, enum ghvm_exit_type type, enum ghvm_link_action action);
void control_rebuilt(struct control *c, int machine, int grant);
void control_stop(struct control *c, enum ghvm_link_how how);
void control_region_fd(struct control *c, uint32_t label, int fd);
void control_region_gone(struct control *c, uint32_t label);
/* Answered by on_region_fd for each region. */
void control_ask_region_fds(struct control *c);
/* Answered by on_sent_fd for each file. */
void control_ask_sent_fds(struct control *c);
/* Answered by on_pong, after all earlier messages. */
void control_ping(struct control *c, uint32_t serial);
/* @flags: of enum ghvm_link_console */
void control_ask_console(struct control *c, uint32_t serial, uint8_t flags);
/* Answered by on_devices, if the runner is not of an earlier version. */
void control_ask_devices(struct control *c, uint32_t serial);
