/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to a vhost-user back-end: messages and their replies.
 *
 * The back-end is another process, and is not trusted: a reply is of the request, of the right size, and in
 * time, or the connection is over. Descriptors that come with a reply are never taken.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghvm/error.h"
#include "libghvm/base/wire.h"

/* Numbers of the protocol, as in QEMU's docs/interop/vhost-user.rst. */
enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_GET_CONFIG = 24,
};

#define VHOST_FDS_MAX 8

/**
 * struct vhost_link - a connection
 * @fd: owned; -1: none
 * @acks: each message without a reply of its own is acknowledged (REPLY_ACK)
 * @until: CLOCK_MONOTONIC in ms, when the back-end has to have answered
 *
 * Thread: one.
 */
struct vhost_link {
	int fd;
	bool acks;
	uint64_t until;
};

/**
 * vhost_link_open() - connect
 * @socket: an O_PATH descriptor of the back-end's socket; borrowed
 *
 * Return: 0; -EAGAIN its queue of connections is full; another errno of connect().
 */
int vhost_link_open(struct vhost_link *l, int socket);
void vhost_link_close(struct vhost_link *l);

/* Say that no more comes, and wait until the back-end ends the connection. Return: 0; -ETIMEDOUT. */
int vhost_link_finish(struct vhost_link *l, unsigned int ms);

/* All that follows has to be answered within @ms from now. */
void vhost_link_limit(struct vhost_link *l, unsigned int ms);

/**
 * vhost_link_set() - send a message that has no reply of its own
 * @payload: NULL: none; @fds: borrowed, at most VHOST_FDS_MAX
 *
 * Return: 0; -ETIMEDOUT; -EPIPE; -EBADMSG malformed reply; -EPROTO refused; with a message.
 */
int vhost_link_set(struct vhost_link *l, enum vhost_request request, const struct ghvm_put *payload,
		   const int *fds, size_t n_fds, struct ghvm_error *err);
int vhost_link_set_u64(struct vhost_link *l, enum vhost_request request, uint64_t value,
		       struct ghvm_error *err);

/* As vhost_link_set(), for a message that is answered by a number. @ret: untouched on failure. */
int vhost_link_get_u64(struct vhost_link *l, enum vhost_request request, uint64_t *ret,
		       struct ghvm_error *err);

/* The first @n bytes of the device's registers, at most 256. @ret: untouched on failure. */
int vhost_link_get_config(struct vhost_link *l, uint8_t *ret, size_t n, struct ghvm_error *err);
