/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers and rings of a virtio device, as a guest writes them. The input is a list of steps: a byte that
 * says which, and its arguments. RAM is on the heap, so that an access behind it is found.
 */
#include "libghvm/base/wire.h"
#include "tests/fixtures/virtio/driver.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum step {
	STEP_WRITE,    /* u8 register, u32 value */
	STEP_READ,     /* u8 register */
	STEP_POKE,     /* u16 address in RAM, u32 value */
	STEP_START,    /* as a driver does it */
	STEP_DESCRIBE, /* u8 descriptor, u64 address, u32 size, u8 flags, u8 next */
	STEP_OFFER,    /* u8 head */
	STEP_COUNT_
};

#define STEPS_MAX 256
#define TOUCHED_MAX 256 /* bytes at each end of a buffer */

/**
 * struct guest - what is under test, and its surroundings
 * @sum: of what the device has read
 */
struct guest {
	struct driver driver;
	struct virtio virtio;
	uint8_t sum;
};

static void touch(struct guest *g, const struct ring_buffer *b)
{
	for (uint32_t i = 0; i < b->size; i++) {
		if (i == TOUCHED_MAX && b->size > 2 * TOUCHED_MAX)
			i = b->size - TOUCHED_MAX;
		if (b->writable)
			b->at[i] = (uint8_t)i;
		else
			g->sum ^= b->at[i];
	}
}

static uint32_t serve(void *device, unsigned int queue, const struct ring_chain *chain)
{
	struct guest *g = device;
	uint64_t total = 0;
	bool writable = false;

	PROMISE(queue < VIRTIO_QUEUES_MAX && g->virtio.queues[queue].ready);
	PROMISE((g->virtio.status & 0x4c) == 0xc); /* running */
	PROMISE(chain->n >= 1 && chain->n <= DRIVER_RING_SIZE);
	for (size_t i = 0; i < chain->n; i++) {
		PROMISE(chain->buffers[i].writable >= writable);
		writable = chain->buffers[i].writable;
		total += chain->buffers[i].size;
		touch(g, &chain->buffers[i]);
	}
	PROMISE(total <= UINT32_MAX);
	return (uint32_t)total;
}

static void on_interrupt(void *data)
{
	struct guest *g = data;

	PROMISE(virtio_read(&g->virtio, 0x60, 4) != 0); /* the reason is there */
}

static const struct virtio_kind kind = {
	.name = "fuzz",
	.id = 1,
	.features = 0x11,
	.n_queues = VIRTIO_QUEUES_MAX,
	.queue_size = DRIVER_RING_SIZE,
	.serve = serve,
};

static void describe(struct guest *g, struct ghvm_get *in)
{
	uint8_t nth = ghvm_get_u8(in) % DRIVER_RING_SIZE;
	uint64_t address = ghvm_get_u64(in);
	uint32_t size = ghvm_get_u32(in);
	uint8_t flags = ghvm_get_u8(in);

	driver_describe(&g->driver, nth, address, size, flags, ghvm_get_u8(in));
}

static void poke(struct guest *g, struct ghvm_get *in)
{
	uint16_t at = ghvm_get_u16(in);
	uint32_t value = ghvm_get_u32(in);

	memcpy(g->driver.ram + (at & ~3U), &value, sizeof(value));
}

static void write_register(struct guest *g, struct ghvm_get *in)
{
	uint8_t nth = ghvm_get_u8(in);

	virtio_write(&g->virtio, nth * 4ULL, 4, ghvm_get_u32(in));
}

static void take_step(struct guest *g, struct ghvm_get *in)
{
	switch (ghvm_get_u8(in) % STEP_COUNT_) {
	case STEP_WRITE:
		write_register(g, in);
		break;
	case STEP_READ:
		(void)virtio_read(&g->virtio, ghvm_get_u8(in) * 4ULL, 4);
		break;
	case STEP_POKE:
		poke(g, in);
		break;
	case STEP_START:
		driver_start(&g->virtio);
		break;
	case STEP_DESCRIBE:
		describe(g, in);
		break;
	case STEP_OFFER:
		driver_offer(&g->driver, ghvm_get_u8(in));
		virtio_write(&g->virtio, 0x50, 4, 0);
		break;
	}
}

static void check(struct virtio *v)
{
	const uint32_t status = (uint32_t)virtio_read(v, 0x70, 4);

	PROMISE(!(status & ~0xcfU));
	PROMISE(!(status & 4) || (status & 8)); /* DRIVER_OK needs FEATURES_OK */
	PROMISE(!(status & 8) || v->features >> 32 & 1);
	PROMISE(virtio_read(v, 0x60, 4) <= 3);
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		PROMISE(!v->queues[i].ready || v->queues[i].ring.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ghvm_get in = { .buf = data, .len = size };
	struct guest g = {
		.driver.ram = calloc(1, DRIVER_RAM_SIZE),
		.virtio = {
			.kind = &kind,
			.device = &g,
			.dma = &g.driver.dma,
			.on_interrupt = on_interrupt,
			.data = &g,
			.faults = 1ULL << 40, /* far from the next line in the log */
		},
	};

	PROMISE(g.driver.ram);
	g.driver.dma.ranges[g.driver.dma.n++] =
		(struct dma_range){ DRIVER_RAM, DRIVER_RAM_SIZE, g.driver.ram, -1 };
	virtio_init(&g.virtio);
	for (unsigned int i = 0; i < STEPS_MAX && in.len && !in.bad; i++) {
		take_step(&g, &in);
		check(&g.virtio);
	}
	virtio_done(&g.virtio);
	free(g.driver.ram);
	return 0;
}
