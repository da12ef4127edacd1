/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A split virtqueue (virtio 1.2, section 2.7), as its device sees it.
 *
 * The guest can write all of it at any time. So a value is read once, checked, and then used from a copy;
 * and each address is looked up in the DMA map.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/virtio/dma-map.h"
#include "ghvm/error.h"

#define RING_SIZE_MAX 256 /* the specification has 32768 */

/**
 * struct ring_setup - what the driver has written into the registers; not trusted
 * @size: number of descriptors
 * @descriptors, @avail, @used: guest addresses
 */
struct ring_setup {
	uint32_t size;
	uint64_t descriptors;
	uint64_t avail;
	uint64_t used;
};

/**
 * struct ring - a ring that the driver has set up
 * @indirect: a descriptor may name a table of others (section 2.7.5.3)
 * @events: indexes say when to notify and interrupt, and not flags (section 2.7.10)
 * @descriptors, @avail, @used: in the DMA map
 * @taken: number of chains taken from @avail, modulo 65536
 * @given: number of chains put into @used, modulo 65536
 *
 * Thread: any, one at a time.
 */
struct ring {
	uint16_t size;
	bool indirect;
	bool events;
	const uint8_t *descriptors;
	const uint8_t *avail;
	uint8_t *used;
	uint16_t taken;
	uint16_t given;
};

/**
 * struct ring_buffer - the memory of one descriptor
 * @at: in the DMA map, @size bytes; not NULL unless @size is 0
 * @writable: for the device to write, else to read
 */
struct ring_buffer {
	uint8_t *at;
	uint32_t size;
	bool writable;
};

/**
 * struct ring_chain - a request of the driver
 * @head: names it in ring_give()
 * @buffers: @n of them, those to read first; less than 4 GiB in total
 */
struct ring_chain {
	uint16_t head;
	size_t n;
	struct ring_buffer buffers[RING_SIZE_MAX];
};

/**
 * ring_init() - begin with the rings at the addresses in @setup
 * @ret: untouched on failure; without indirect descriptors and event indexes
 *
 * Return: 0; -EBADMSG with a message: not a power of 2 up to @max, not aligned, not in @dma.
 */
int ring_init(const struct ring_setup *setup, uint32_t max, const struct dma_map *dma,
	      struct ring *ret, struct ghvm_error *err);

/**
 * ring_take() - the next chain that the driver offers
 *
 * Return: 1; 0 there is none; -EBADMSG with a message: no driver that obeys the specification writes
 * this, and the ring cannot be used until it is set up again.
 */
int ring_take(struct ring *r, const struct dma_map *dma, struct ring_chain *ret,
	      struct ghvm_error *err);

/**
 * ring_await() - have the driver notify when it offers the next chain; with @events it does not otherwise
 *
 * Return: true: it has offered one meanwhile, so take that and call this again.
 */
bool ring_await(struct ring *r);

/**
 * ring_give() - give a chain back
 * @written: bytes that were written to its writable buffers
 *
 * Return: true: the driver wants an interrupt.
 */
bool ring_give(struct ring *r, uint16_t head, uint32_t written);
