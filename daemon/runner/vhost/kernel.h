/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queues of a virtio device that the host's kernel serves: vhost.
 *
 * The kernel reaches the guest's memory by this process's mappings of it, and finds each address of a ring in the
 * table of the DMA map. The rings are the guest's own. What no driver writes into them makes the kernel stop and say so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/virtio/transport.h"
#include "ghvm/error.h"

#define VHOST_KERNEL_QUEUES 2

/**
 * struct vhost_kernel - the kernel's end of a device; -1: no file
 * @fd: of the kernel's device, borrowed
 * @control: ioctl(), or that of a test
 * @kick: eventfds to the kernel, a queue each, owned
 * @call: eventfd from it, owned: it has served requests, and the driver wants an interrupt
 * @error: eventfds from it, a queue each, owned: the queue is broken
 */
struct vhost_kernel {
	int fd;
	int (*control)(int fd, unsigned long request, ...);
	int kick[VHOST_KERNEL_QUEUES];
	int call;
	int error[VHOST_KERNEL_QUEUES];
};

/**
 * vhost_kernel_init() - take the device for this process, and tell the kernel where the guest's memory is
 * @k: the caller calls vhost_kernel_done(), also on failure
 * @dma: what the device may access; it does not change from here on
 * @ret_features: that the device has
 *
 * Return: 0; negative errno with a message.
 */
int vhost_kernel_init(struct vhost_kernel *k, int fd,
		      int (*control)(int fd, unsigned long request, ...), const struct dma_map *dma,
		      uint64_t *ret_features, struct ghvm_error *err);
void vhost_kernel_done(struct vhost_kernel *k);

/**
 * vhost_kernel_queues() - give the kernel the queues of a driver, while the device is stopped
 * @features: that the driver has accepted
 * @queues: VHOST_KERNEL_QUEUES of them
 *
 * Return: 0; -EINVAL a queue is not ready; errno of the kernel; with a message.
 */
int vhost_kernel_queues(struct vhost_kernel *k, uint64_t features,
			const struct virtio_queue *queues, struct ghvm_error *err);

/* The driver has offered something in @queue. */
void vhost_kernel_kick(const struct vhost_kernel *k, unsigned int queue);

/* Has the event happened since the last time? */
bool vhost_kernel_happened(int event);
/* Forget what has happened; the device is stopped. */
void vhost_kernel_forget(const struct vhost_kernel *k);
