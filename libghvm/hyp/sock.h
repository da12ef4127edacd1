/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host on a socket: the user-space model, tests/model/sock. Use ghvm_host_open().
 *
 * Hosts, pins and grants are ends of SEQPACKET connections: they are passed on, duplicated and
 * closed like files, and the model sees the last close as the module does. Each request carries a
 * socket for its reply, so threads and processes can share a host.
 *
 * Request: struct ghvm_sock_request, the ioctl's structure of kmod/uapi/ghvm.h, then the data
 * that its addresses would point to; descriptors: the socket for the reply, then the one that the
 * structure refers to. Reply: struct ghvm_sock_reply, the structure, then arrays; a new file as
 * descriptor. Native byte order, as both sides are on one machine.
 */
#pragma once

#include "ghvm/host.h"

#include <stdint.h>

#define GHVM_SOCK_DATA_MAX 65536  /* bytes of a write, or of an array, in one packet */
#define GHVM_SOCK_BUFFER_MAX 1024 /* bytes of a hypercall's buffer */
#define GHVM_SOCK_PACKET_MAX (GHVM_SOCK_DATA_MAX + 1024)

/* pwrite() on a pin: struct ghvm_sock_write, then the bytes. */
#define GHVM_SOCK_WRITE 0x57524954U

/**
 * struct ghvm_sock_request - header of a request
 * @op: the ioctl's number, e.g. GHVM_INFO, or GHVM_SOCK_WRITE
 */
struct ghvm_sock_request {
	uint32_t op;
	uint32_t zero;
};

/**
 * struct ghvm_sock_reply - header of a reply
 * @result: result of the ioctl, or a negative errno
 */
struct ghvm_sock_reply {
	int32_t result;
	uint32_t zero;
};

struct ghvm_sock_write {
	uint64_t offset;
};

/* Connect without checks. Return: 0; -ENODEV nothing listens there; other errno. */
int ghvm_sock_open(const char *path, struct ghvm_host **ret, struct ghvm_error *err);

/*
 * Make a host of a connected host or grant socket; @fd is taken over on success. Return: 0 or
 * -ENOMEM.
 */
int ghvm_sock_from_fd(int fd, struct ghvm_host **ret);
