/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host behind a socket: the user-space model, tests/model/sock. Use ghvm_host_open().
 *
 * A host, a pin and a grant are each one end of a SEQPACKET connection: they are passed
 * on, copied and closed like files, and the model notices the last close as the module
 * does. A request carries the socket for its own reply, so that any number of threads and
 * processes can use one file at the same time.
 *
 * Request: struct ghvm_sock_request, the ioctl's structure of kmod/uapi/ghvm.h, then what
 * its addresses would point to; descriptors: the reply's socket, then the one the
 * structure speaks of. Reply: struct ghvm_sock_reply, the structure, then arrays; a new
 * file as descriptor. Both sides are on one machine: native byte order.
 */
#pragma once

#include "ghvm/host.h"

#include <stdint.h>

#define GHVM_SOCK_DATA_MAX 65536  /* bytes of a write, or of an array, in one packet */
#define GHVM_SOCK_BUFFER_MAX 1024 /* of a hypercall */
#define GHVM_SOCK_PACKET_MAX (GHVM_SOCK_DATA_MAX + 1024)

/* pwrite() on a pin: struct ghvm_sock_write, then the bytes. */
#define GHVM_SOCK_WRITE 0x57524954U

/**
 * struct ghvm_sock_request - what every request starts with
 * @op: the ioctl's number, e.g. GHVM_INFO, or GHVM_SOCK_WRITE
 */
struct ghvm_sock_request {
	uint32_t op;
	uint32_t zero;
};

/**
 * struct ghvm_sock_reply - what every reply starts with
 * @result: what the ioctl would return, or a negative errno
 */
struct ghvm_sock_reply {
	int32_t result;
	uint32_t zero;
};

struct ghvm_sock_write {
	uint64_t offset;
};

/* Connects; checks nothing. Return: 0; -ENODEV nobody listens; other errno. */
int ghvm_sock_open(const char *path, struct ghvm_host **ret, struct ghvm_error *err);

/* A host on a connected host or grant socket; @fd is taken over on success. 0 or -ENOMEM. */
int ghvm_sock_from_fd(int fd, struct ghvm_host **ret);
