/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets between host and guest, which the host's kernel serves: a virtio socket device (virtio 1.2, section 5.10).
 *
 * The kernel has the queues of packets. That of events stays here, and none is sent: its events tell a guest that it
 * has moved to another host.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/runner/virtio/transport.h"
#include "daemon/runner/vhost/kernel.h"

#define VSOCK_EVENTS 3 /* eventfds of the device */

/**
 * struct vsock - a device
 * @virtio: its registers; the first member
 *
 * Not movable.
 */
struct vsock {
	struct virtio virtio;
	struct virtio_kind kind;
	struct vhost_kernel kernel;
};

/**
 * struct vsock_setup - what a device is made of; all borrowed
 * @fd: vhost-vsock, which has the CID already
 * @control: ioctl(), or that of a test
 * @cid: address of the guest
 * @windowed: the guest copies its data into a window: no indirect descriptors are offered, as of other devices
 */
struct vsock_setup {
	int fd;
	int (*control)(int fd, unsigned long request, ...);
	uint32_t cid;
	const struct dma_map *dma;
	bool windowed;
	void (*on_interrupt)(void *data);
	void *data;
};

/* @v: zeroed; the caller calls vsock_done(), also on failure. Return: 0; negative errno with a message. */
int vsock_init(struct vsock *v, const struct vsock_setup *setup, struct ghvm_error *err);
void vsock_done(struct vsock *v);

/* The kernel accesses no memory of the guest, and no interrupt comes, until the driver is ready again. */
void vsock_stop(struct vsock *v);

/* Events to wait for, VSOCK_EVENTS of them. */
void vsock_events(const struct vsock *v, int ret[VSOCK_EVENTS]);
/* Call it after one of them. */
void vsock_process(struct vsock *v);
