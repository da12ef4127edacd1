/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device that another process serves: the front-end of vhost-user.
 *
 * The back-end gets the memory in the DMA map, and nothing else of the guest. If it goes away, requests wait
 * until it is back. A back-end that lies again and again breaks the device, and nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/runner/virtio/shadow.h"
#include "daemon/runner/virtio/transport.h"
#include "daemon/runner/virtio/vhost-link.h"
#include "daemon/runner/virtio/worker.h"

#define VHOST_QUEUE_SIZE 128

/**
 * struct vhost_queue - a queue in the thread
 * @ready: the driver has set it up
 * @kick, @call: eventfds to and from the back-end, owned; -1: none
 */
struct vhost_queue {
	bool ready;
	struct shadow shadow;
	struct ring_setup setup;
	int kick;
	int call;
};

/**
 * struct vhost_user - a device
 * @name: for the journal
 * @kind, @virtio: its registers
 * @socket: an O_PATH descriptor of the back-end's socket, borrowed
 * @windowed: see struct vhost_setup
 * @config_size: bytes of the device's own registers
 * @features: of the first back-end, and all later ones
 * @pause_min, @pause_max: ms between two tries to connect
 * @worker: the thread and its orders
 *
 * The rest is the thread's.
 * @orders_now: what it carries out
 * @link: the connection; @greeted: features are exchanged; @serving: the back-end has the queues
 * @touched: the back-end got the guest's memory, and it is not known whether it still accesses that
 * @rings: the back-end's rings, mapped; @rings_fd: their file, owned
 * @next_try: CLOCK_MONOTONIC in ms; @pause: ms, grows
 * @lost: it was said that the back-end is gone; @n_lost: how often it went. Other threads read them, too
 * @fruitless: connections in a row that ended before a request was served
 * @broken: until the next order
 *
 * Not movable.
 */
struct vhost_user {
	char name[32];
	struct virtio_kind kind;
	struct virtio virtio;
	int socket;
	bool windowed;
	size_t config_size;
	uint64_t features;
	unsigned int pause_min;
	unsigned int pause_max;
	struct worker worker;

	struct worker_orders orders_now;
	struct vhost_link link;
	bool greeted;
	bool serving;
	bool touched;
	struct vhost_queue queues[VIRTIO_QUEUES_MAX];
	uint8_t *rings;
	int rings_fd;
	uint64_t next_try;
	unsigned int pause;
	bool lost;
	unsigned long long n_lost;
	unsigned int fruitless;
	bool broken;
};

/**
 * struct vhost_setup - what a device is made of; all borrowed
 * @name, @nth: for the journal: the kind of device, and 0 for the first one of the VM
 * @id: kind of virtio device (virtio 1.2, section 5)
 * @n_queues: at most VIRTIO_QUEUES_MAX
 * @socket: see struct vhost_user
 * @dma: with its files kept
 * @windowed: that is a window, which the guest copies its data into: no indirect descriptors are offered, with which
 *     the requests in the ring could need more than the window has
 */
struct vhost_setup {
	const char *name;
	unsigned int nth;
	uint32_t id;
	unsigned int n_queues;
	int socket;
	const struct dma_map *dma;
	bool windowed;
	void (*on_interrupt)(void *data);
	void *data;
};

/**
 * vhost_user_init() - connect to the back-end, and learn what it can do
 * @u: zeroed; the caller calls vhost_user_done(), also on failure, or without this call
 *
 * Waits for some seconds at most. Return: 0; negative errno with a message.
 */
int vhost_user_init(struct vhost_user *u, const struct vhost_setup *setup, struct ghvm_error *err);
void vhost_user_done(struct vhost_user *u);

/* Set what is known of the device. Thread: any. */
void vhost_user_report(struct vhost_user *u, struct ghvm_link_device *ret);

/* The back-end accesses no memory of the guest, and no interrupt comes, until the driver is ready again. */
void vhost_user_stop(struct vhost_user *u);
