/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets between host and guest, by the host's vhost-vsock.
 */
#include "daemon/runner/devices/device.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "daemon/runner/vhost/vsock.h"

static void on_interrupt(void *data)
{
	bell_ring(data);
}

static int init(void *device, const struct device_setup *setup)
{
	const struct vsock_setup vsock = {
		.fd = setup->vsock,
		.control = ioctl,
		.cid = setup->info->cid,
		.dma = setup->dma,
		.windowed = ghvm_runinfo_windowed(setup->info),
		.on_interrupt = on_interrupt,
		.data = setup->bell,
	};

	if (vsock.fd < 0 || !vsock.cid)
		return -EINVAL;
	return vsock_init(device, &vsock, setup->err);
}

static void done(void *device)
{
	vsock_done(device);
}

static void reset(void *device)
{
	struct vsock *v = device;

	virtio_reset(&v->virtio);
}

static void quiet(void *device)
{
	vsock_stop(device);
}

static uint64_t read_register(void *device, uint64_t offset, unsigned int size)
{
	struct vsock *v = device;

	return virtio_read(&v->virtio, offset, size);
}

static void write_register(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vsock *v = device;

	virtio_write(&v->virtio, offset, size, value);
}

static void poll_events(void *device, struct pollfd *ret)
{
	int events[VSOCK_EVENTS];

	vsock_events(device, events);
	for (unsigned int i = 0; i < VSOCK_EVENTS; i++)
		ret[i] = (struct pollfd){ .fd = events[i], .events = POLLIN };
}

static void process(void *device)
{
	vsock_process(device);
}

/* The kernel does not tell how many requests it has served. */
static void report(void *device, struct ghvm_link_device *ret)
{
	struct vsock *v = device;

	virtio_report(&v->virtio, ret);
}

const struct device_kind vsock_kind = {
	.name = "vsock",
	.size = sizeof(struct vsock),
	.init = init,
	.done = done,
	.reset = reset,
	.quiet = quiet,
	.read = read_register,
	.write = write_register,
	.n_pollfds = VSOCK_EVENTS,
	.poll = poll_events,
	.process = process,
	.report = report,
};
