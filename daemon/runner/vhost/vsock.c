/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls of the kernel's device are made by the thread of the vCPU that writes the register: none waits for anything
 * but a worker of the kernel that is in the middle of a packet.
 */
#include "daemon/runner/vhost/vsock.h"

#include <errno.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#define VSOCK_ID 19
#define VSOCK_QUEUES 3 /* to the guest, from the guest, events */
#define VSOCK_QUEUE_SIZE 128

static int set_running(struct vsock *v, int running)
{
	return v->kernel.control(v->kernel.fd, VHOST_VSOCK_SET_RUNNING, &running) < 0 ? -errno : 0;
}

static int start_kernel(struct vsock *v, uint64_t features, const struct virtio_queue *queues,
			struct ghvm_error *err)
{
	int r = vhost_kernel_queues(&v->kernel, features, queues, err);

	if (r == 0)
		r = set_running(v, 1);
	if (r < 0 && !*err->msg)
		return ghvm_error_set(err, r, "the host's kernel does not start it: %s",
				      strerror(-r));
	return r;
}

/* A driver that was ready before and did not reset the device is stopped first. */
static void start_device(void *device, uint64_t features, const struct virtio_queue *queues)
{
	struct vsock *v = device;
	struct ghvm_error err = {};

	(void)set_running(v, 0); /* it was stopped, mostly */
	if (start_kernel(v, features, queues, &err) < 0)
		virtio_fail(&v->virtio, 0, &err);
}

static void notify_device(void *device, unsigned int queue)
{
	struct vsock *v = device;

	if (queue < VHOST_KERNEL_QUEUES)
		vhost_kernel_kick(&v->kernel, queue);
}

static void stop_device(void *device)
{
	struct vsock *v = device;

	if (set_running(v, 0) < 0)
		fprintf(stderr, SD_WARNING "Device vsock: the host's kernel does not stop it: %s\n",
			strerror(errno));
	vhost_kernel_forget(&v->kernel);
}

void vsock_stop(struct vsock *v)
{
	stop_device(v);
}

static const struct virtio_kind registers_kind = {
	.name = "vsock",
	.id = VSOCK_ID,
	.n_queues = VSOCK_QUEUES,
	.queue_size = VSOCK_QUEUE_SIZE,
	.start = start_device,
	.notify = notify_device,
	.stop = stop_device,
};

static void set_features(struct vsock *v, uint64_t features, bool windowed)
{
	v->kind.features = features & (VIRTIO_KIND_FEATURES | VIRTIO_EVENTS);
	if (!windowed)
		v->kind.features |= features & VIRTIO_INDIRECT;
}

static void set_cid(struct vsock *v, uint32_t cid)
{
	uint8_t config[8] = {};

	for (unsigned int i = 0; i < sizeof(cid); i++)
		config[i] = (uint8_t)(cid >> (8 * i));
	virtio_configure(&v->virtio, config, sizeof(config));
}

int vsock_init(struct vsock *v, const struct vsock_setup *setup, struct ghvm_error *err)
{
	uint64_t features = 0;
	int r;

	v->kind = registers_kind;
	v->virtio.kind = &v->kind;
	v->virtio.device = v;
	v->virtio.dma = setup->dma;
	v->virtio.on_interrupt = setup->on_interrupt;
	v->virtio.data = setup->data;
	virtio_init(&v->virtio);
	r = vhost_kernel_init(&v->kernel, setup->fd, setup->control, setup->dma, &features, err);
	if (r == 0 && !(features & VIRTIO_VERSION_1))
		r = ghvm_error_set(err, -EOPNOTSUPP, "the host's vhost-vsock lacks virtio 1");
	if (r < 0)
		return r;
	set_features(v, features, setup->windowed);
	set_cid(v, setup->cid);
	return 0;
}

void vsock_done(struct vsock *v)
{
	if (!v->virtio.kind)
		return;
	vhost_kernel_done(&v->kernel);
	virtio_done(&v->virtio);
}

void vsock_events(const struct vsock *v, int ret[VSOCK_EVENTS])
{
	ret[0] = v->kernel.call;
	ret[1] = v->kernel.error[0];
	ret[2] = v->kernel.error[1];
}

/* An error of the queues before a reset may come after it: then the driver has to reset the device once more. */
void vsock_process(struct vsock *v)
{
	struct ghvm_error err;

	if (vhost_kernel_happened(v->kernel.call))
		virtio_used(&v->virtio);
	for (unsigned int i = 0; i < VHOST_KERNEL_QUEUES; i++) {
		if (!vhost_kernel_happened(v->kernel.error[i]))
			continue;
		(void)ghvm_error_set(&err, -EBADMSG,
				     "the host's kernel found a ring or a buffer that no driver "
				     "offers");
		virtio_break(&v->virtio, i, &err);
	}
}
