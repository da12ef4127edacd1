/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device of any kind that a process beside the runner serves over vhost-user; and disks, of which the storage
 * daemon is started with the VM.
 */
#include "daemon/runner/devices/device.h"

#include <errno.h>
#include <stdbool.h>

#include "daemon/runner/virtio/vhost-user.h"

static void on_interrupt(void *data)
{
	bell_ring(data);
}

static int init_with(void *device, const struct device_setup *setup, int socket)
{
	const unsigned int nth = setup->device->nth;
	const struct vhost_setup vhost = {
		.nth = nth,
		.id = setup->device->virtio_id,
		.n_queues = setup->device->queues,
		.name = setup->device->name,
		.socket = socket,
		.dma = setup->dma,
		.windowed = ghvm_runinfo_windowed(setup->info),
		.on_interrupt = on_interrupt,
		.data = setup->bell,
	};

	if (vhost.socket < 0 || !vhost.n_queues || vhost.n_queues > VIRTIO_QUEUES_MAX)
		return -EINVAL;
	return vhost_user_init(device, &vhost, setup->err);
}

static int vhost_init(void *device, const struct device_setup *setup)
{
	const unsigned int nth = setup->device->nth;

	return init_with(device, setup, nth < GHVM_SPEC_VHOST_MAX ? setup->sockets[nth] : -1);
}

static int disk_init(void *device, const struct device_setup *setup)
{
	const unsigned int nth = setup->device->nth;

	return init_with(device, setup, nth < GHVM_SPEC_DISKS_MAX ? setup->disks[nth] : -1);
}

static void vhost_done(void *device)
{
	vhost_user_done(device);
}

static void vhost_reset(void *device)
{
	struct vhost_user *u = device;

	virtio_reset(&u->virtio);
}

static void vhost_quiet(void *device)
{
	vhost_user_stop(device);
}

static uint64_t vhost_read(void *device, uint64_t offset, unsigned int size)
{
	struct vhost_user *u = device;

	return virtio_read(&u->virtio, offset, size);
}

static void vhost_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vhost_user *u = device;

	virtio_write(&u->virtio, offset, size, value);
}

static void vhost_report(void *device, struct ghvm_link_device *ret)
{
	vhost_user_report(device, ret);
}

const struct device_kind vhost_user_kind = {
	.name = "vhost-user",
	.size = sizeof(struct vhost_user),
	.init = vhost_init,
	.done = vhost_done,
	.reset = vhost_reset,
	.quiet = vhost_quiet,
	.read = vhost_read,
	.write = vhost_write,
	.report = vhost_report,
};

const struct device_kind disk_kind = {
	.name = "disk",
	.size = sizeof(struct vhost_user),
	.init = disk_init,
	.done = vhost_done,
	.reset = vhost_reset,
	.quiet = vhost_quiet,
	.read = vhost_read,
	.write = vhost_write,
	.report = vhost_report,
};
