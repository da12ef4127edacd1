/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers for the guest, from the host's kernel: a virtio entropy device (virtio 1.2, section 5.4).
 *
 * The device may fill less of a buffer than there is, so that no request keeps a vCPU long.
 */
#include "daemon/runner/devices/device.h"

#include <sys/random.h>

#include "daemon/runner/virtio/transport.h"

#define RNG_DEVICE_ID 4
#define RNG_QUEUE_SIZE 8
#define RNG_REQUEST_MAX 4096 /* bytes */

struct rng {
	struct virtio virtio;
};

static void on_interrupt(void *data)
{
	bell_ring(data);
}

/* Return: number of bytes; fewer than @n if a signal came. */
static uint32_t fill_buffer(uint8_t *at, uint32_t n)
{
	ssize_t got = getrandom(at, n, 0);

	return got < 0 ? 0 : (uint32_t)got;
}

static uint32_t rng_serve(void *device, unsigned int queue, const struct ring_chain *chain)
{
	uint32_t written = 0, wanted, got;

	for (size_t i = 0; i < chain->n; i++) {
		if (!chain->buffers[i].writable)
			continue;
		wanted = RNG_REQUEST_MAX - written;
		if (wanted > chain->buffers[i].size)
			wanted = chain->buffers[i].size;
		got = fill_buffer(chain->buffers[i].at, wanted);
		written += got;
		if (got < chain->buffers[i].size)
			break; /* what is written is a piece without a gap */
	}
	return written;
}

static const struct virtio_kind rng_virtio = {
	.name = "rng",
	.id = RNG_DEVICE_ID,
	.n_queues = 1,
	.queue_size = RNG_QUEUE_SIZE,
	.serve = rng_serve,
};

static int rng_init(void *device, const struct device_setup *setup)
{
	struct rng *rng = device;

	rng->virtio.kind = &rng_virtio;
	rng->virtio.device = rng;
	rng->virtio.dma = setup->dma;
	rng->virtio.on_interrupt = on_interrupt;
	rng->virtio.data = setup->bell;
	virtio_init(&rng->virtio);
	return 0;
}

static void rng_done(void *device)
{
	struct rng *rng = device;

	virtio_done(&rng->virtio);
}

static void rng_reset(void *device)
{
	struct rng *rng = device;

	virtio_reset(&rng->virtio);
}

static uint64_t rng_read(void *device, uint64_t offset, unsigned int size)
{
	struct rng *rng = device;

	return virtio_read(&rng->virtio, offset, size);
}

static void rng_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct rng *rng = device;

	virtio_write(&rng->virtio, offset, size, value);
}

static void rng_report(void *device, struct ghvm_link_device *ret)
{
	struct rng *rng = device;

	virtio_report(&rng->virtio, ret);
}

const struct device_kind rng_kind = {
	.name = "rng",
	.size = sizeof(struct rng),
	.init = rng_init,
	.done = rng_done,
	.reset = rng_reset,
	.read = rng_read,
	.write = rng_write,
	.report = rng_report,
};
