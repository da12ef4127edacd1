/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of a virtio device: virtio-mmio, version 2 (virtio 1.2, section 4.2).
 *
 * A device that finds something in its registers or rings that no driver writes is broken: it sets
 * DEVICE_NEEDS_RESET, says so once, and does nothing until the driver resets it. Nothing else is affected.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/runner/virtio/dma-map.h"
#include "daemon/runner/virtio/ring.h"

#define VIRTIO_QUEUES_MAX 2

/**
 * struct virtio_kind - what a device adds to the registers
 * @name: for the journal
 * @id: number of the kind (virtio 1.2, section 5)
 * @features: bits 0 to 23 and 50 to 63, those of the kind
 * @n_queues: at most VIRTIO_QUEUES_MAX
 * @queue_size: maximum, a power of 2, at most RING_SIZE_MAX
 * @serve: a chain of a queue. Return: number of bytes written to its writable buffers. The device's
 *         registers are locked meanwhile. Thread: a vCPU's, so it does not wait.
 */
struct virtio_kind {
	const char *name;
	uint32_t id;
	uint64_t features;
	unsigned int n_queues;
	uint32_t queue_size;
	uint32_t (*serve)(void *device, unsigned int queue, const struct ring_chain *chain);
};

/**
 * struct virtio_queue - registers of a queue
 * @ready: @ring is set up
 */
struct virtio_queue {
	struct ring_setup setup;
	bool ready;
	struct ring ring;
};

/**
 * struct virtio - the registers of a device
 * @kind: borrowed, static; @device: passed to it
 * @dma: borrowed
 * @on_interrupt: raise the guest's interrupt (an edge); any thread, called without the lock
 * @data: passed to it
 * @features: accepted by the driver; @strange_features: it accepted bits above 63
 * @device_select, @driver_select, @queue_select: which half or queue the registers are of
 * @interrupt: reasons that the driver has not acknowledged
 * @faults: how often it broke since the start of the runner
 * @chain: the chain that is being served
 *
 * Thread: any; @lock guards everything below it. Not movable.
 */
struct virtio {
	const struct virtio_kind *kind;
	void *device;
	const struct dma_map *dma;
	void (*on_interrupt)(void *data);
	void *data;
	pthread_mutex_t lock;
	uint64_t features;
	bool strange_features;
	uint32_t status;
	uint32_t device_select;
	uint32_t driver_select;
	uint32_t queue_select;
	uint32_t interrupt;
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
	unsigned long long faults;
	struct ring_chain chain;
};

/* @v: kind, device, dma, on_interrupt and data are set, the rest is zero. */
void virtio_init(struct virtio *v);
void virtio_done(struct virtio *v);

/* Reset to the state after power-on. */
void virtio_reset(struct virtio *v);

/* Accesses of the guest; @offset from the base. Unknown registers read as 0. */
uint64_t virtio_read(struct virtio *v, uint64_t offset, unsigned int size);
void virtio_write(struct virtio *v, uint64_t offset, unsigned int size, uint64_t value);
