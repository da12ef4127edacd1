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

#include "daemon/ipc/protocol.h"
#include "daemon/runner/virtio/counts.h"
#include "daemon/runner/virtio/dma-map.h"
#include "daemon/runner/virtio/ring.h"
#include "libghvm/base/bits.h"

#define VIRTIO_QUEUES_MAX 8
#define VIRTIO_CONFIG_MAX 256

#define VIRTIO_VERSION_1 (1ULL << 32)
/* Addresses are what the device tree says: the driver uses a window, if there is one. */
#define VIRTIO_ACCESS_PLATFORM (1ULL << 33)
#define VIRTIO_INDIRECT (1ULL << 28) /* of rings, as the next one */
#define VIRTIO_EVENTS (1ULL << 29)
/* The bits of a kind; the others are of registers and rings. */
#define VIRTIO_KIND_FEATURES (GHVM_BITS(23, 0) | GHVM_BITS(63, 50))

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
 * struct virtio_kind - what a device adds to the registers
 * @name: for the journal
 * @id: number of the kind (virtio 1.2, section 5)
 * @features: of VIRTIO_KIND_FEATURES, VIRTIO_INDIRECT, VIRTIO_EVENTS; without @serve only
 * @n_queues: at most VIRTIO_QUEUES_MAX
 * @queue_size: maximum, a power of 2, at most RING_SIZE_MAX
 * @serve: a chain of a queue. Return: number of bytes written to its writable buffers. The device's
 *         registers are locked meanwhile. Thread: a vCPU's, so it does not wait. NULL: another thread serves
 * @start: the driver is ready (DRIVER_OK). @queues: copies to keep, those that are ready. With the lock
 * @notify: the driver has offered something in @queue. With the lock; it does not wait
 * @stop: the driver or the host resets the device; afterwards it accesses no memory of the guest. Without the
 *        lock. It may wait for some seconds.
 *
 * A kind has either @serve, or the three after it.
 */
struct virtio_kind {
	const char *name;
	uint32_t id;
	uint64_t features;
	unsigned int n_queues;
	uint32_t queue_size;
	uint32_t (*serve)(void *device, unsigned int queue, const struct ring_chain *chain);
	void (*start)(void *device, uint64_t features, const struct virtio_queue *queues);
	void (*notify)(void *device, unsigned int queue);
	void (*stop)(void *device);
};

/**
 * struct virtio - the registers of a device
 * @kind: borrowed, does not change; @device: passed to it
 * @dma: borrowed
 * @on_interrupt: raise the guest's interrupt (an edge); any thread, called without the lock
 * @data: passed to it
 * @config: the device's own registers, @n_config bytes; @generation: changes with them
 * @features: accepted by the driver; @strange_features: it accepted bits above 63
 * @device_select, @driver_select, @queue_select: which half or queue the registers are of
 * @interrupt: reasons that the driver has not acknowledged
 * @faults: how often it broke since the start of the runner
 * @counts: what it has done since then
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
	uint8_t config[VIRTIO_CONFIG_MAX];
	size_t n_config;
	uint32_t generation;
	uint64_t features;
	bool strange_features;
	uint32_t status;
	uint32_t device_select;
	uint32_t driver_select;
	uint32_t queue_select;
	uint32_t interrupt;
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
	unsigned long long faults;
	struct virtio_counts counts;
	struct ring_chain chain;
};

/* @v: kind, device, dma, on_interrupt and data are set, the rest is zero. */
void virtio_init(struct virtio *v);
void virtio_done(struct virtio *v);

/* Reset to the state after power-on. */
void virtio_reset(struct virtio *v);

/* For a kind without serve. Thread: any, without the lock. */

/* Requests of the driver were served, and it wants an interrupt. */
void virtio_used(struct virtio *v);
/* For those requests: what is new since the last call. */
void virtio_count(struct virtio *v, const struct virtio_counts *more);
/* The device is broken, until the guest resets it. */
void virtio_break(struct virtio *v, unsigned int queue, const struct ghvm_error *err);
/* The same within start or notify, with the lock. */
void virtio_fail(struct virtio *v, unsigned int queue, const struct ghvm_error *err);
/* Set the device's own registers to @config, at most VIRTIO_CONFIG_MAX bytes. */
void virtio_configure(struct virtio *v, const uint8_t *config, size_t n);

/* Set what registers and rings know of it: state, queues, counts. Thread: any, without the lock. */
void virtio_report(struct virtio *v, struct ghvm_link_device *ret);

/* Accesses of the guest; @offset from the base. Unknown registers read as 0. */
uint64_t virtio_read(struct virtio *v, uint64_t offset, unsigned int size);
void virtio_write(struct virtio *v, uint64_t offset, unsigned int size, uint64_t value);
