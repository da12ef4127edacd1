/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The requests of the kernel's vhost devices.
 */
#include "daemon/runner/vhost/kernel.h"

#include <errno.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libghvm/base/cleanup.h"

static int make_call(const struct vhost_kernel *k, unsigned long request, const char *name,
		     const void *argument, struct ghvm_error *err)
{
	if (k->control(k->fd, request, argument) >= 0)
		return 0;
	return ghvm_error_set(err, -errno, "the host's kernel refuses %s: %s", name,
			      strerror(errno));
}

#define CALL(k, request, argument, err) make_call(k, request, #request, argument, err)

static int make_event(int *ret, struct ghvm_error *err)
{
	*ret = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return *ret < 0 ? ghvm_error_set(err, -errno, "no eventfd: %s", strerror(errno)) : 0;
}

static int make_events(struct vhost_kernel *k, struct ghvm_error *err)
{
	int r = make_event(&k->call, err);

	for (unsigned int i = 0; r == 0 && i < VHOST_KERNEL_QUEUES; i++) {
		r = make_event(&k->kick[i], err);
		if (r == 0)
			r = make_event(&k->error[i], err);
	}
	return r;
}

/* An address of the guest is where this process has it mapped, and nowhere else. */
static int set_memory(const struct vhost_kernel *k, const struct dma_map *dma,
		      struct ghvm_error *err)
{
	union {
		struct vhost_memory memory;
		uint8_t room[sizeof(struct vhost_memory) +
			     DMA_RANGES_MAX * sizeof(struct vhost_memory_region)];
	} table = {};

	table.memory.nregions = (uint32_t)dma->n;
	for (size_t i = 0; i < dma->n; i++)
		table.memory.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = dma->ranges[i].ipa,
			.memory_size = dma->ranges[i].size,
			.userspace_addr = (uintptr_t)dma->ranges[i].at,
		};
	return CALL(k, VHOST_SET_MEM_TABLE, &table.memory, err);
}

int vhost_kernel_init(struct vhost_kernel *k, int fd,
		      int (*control)(int fd, unsigned long request, ...), const struct dma_map *dma,
		      uint64_t *ret_features, struct ghvm_error *err)
{
	int r;

	*k = (struct vhost_kernel){ .fd = fd, .control = control, .call = -1 };
	for (unsigned int i = 0; i < VHOST_KERNEL_QUEUES; i++)
		k->kick[i] = k->error[i] = -1;
	r = make_events(k, err);
	if (r == 0)
		r = CALL(k, VHOST_SET_OWNER, NULL, err);
	if (r == 0)
		r = CALL(k, VHOST_GET_FEATURES, ret_features, err);
	return r == 0 ? set_memory(k, dma, err) : r;
}

void vhost_kernel_done(struct vhost_kernel *k)
{
	closep(&k->call);
	for (unsigned int i = 0; i < VHOST_KERNEL_QUEUES; i++) {
		closep(&k->kick[i]);
		closep(&k->error[i]);
	}
}

static int set_file(const struct vhost_kernel *k, unsigned long request, const char *name,
		    unsigned int nth, int fd, struct ghvm_error *err)
{
	const struct vhost_vring_file file = { .index = nth, .fd = fd };

	return make_call(k, request, name, &file, err);
}

#define SET_FILE(k, request, nth, fd, err) set_file(k, request, #request, nth, fd, err)

/* The rings were looked up in the DMA map when the driver set them up: whole, and aligned. */
static int set_addresses(const struct vhost_kernel *k, unsigned int nth, const struct ring *ring,
			 struct ghvm_error *err)
{
	const struct vhost_vring_addr addresses = {
		.index = nth,
		.desc_user_addr = (uintptr_t)ring->descriptors,
		.avail_user_addr = (uintptr_t)ring->avail,
		.used_user_addr = (uintptr_t)ring->used,
	};

	return CALL(k, VHOST_SET_VRING_ADDR, &addresses, err);
}

static int set_queue(const struct vhost_kernel *k, unsigned int nth, const struct ring *ring,
		     struct ghvm_error *err)
{
	const struct vhost_vring_state size = { .index = nth, .num = ring->size };
	const struct vhost_vring_state base = { .index = nth, .num = 0 };
	int r = CALL(k, VHOST_SET_VRING_NUM, &size, err);

	if (r == 0)
		r = CALL(k, VHOST_SET_VRING_BASE, &base, err);
	if (r == 0)
		r = set_addresses(k, nth, ring, err);
	if (r == 0)
		r = SET_FILE(k, VHOST_SET_VRING_ERR, nth, k->error[nth], err);
	if (r == 0)
		r = SET_FILE(k, VHOST_SET_VRING_CALL, nth, k->call, err);
	if (r == 0)
		r = SET_FILE(k, VHOST_SET_VRING_KICK, nth, k->kick[nth], err);
	return r;
}

int vhost_kernel_queues(struct vhost_kernel *k, uint64_t features,
			const struct virtio_queue *queues, struct ghvm_error *err)
{
	/* addresses are those of the table of memory: there is nothing to translate */
	const uint64_t accepted = features & ~VIRTIO_ACCESS_PLATFORM;
	int r;

	for (unsigned int i = 0; i < VHOST_KERNEL_QUEUES; i++)
		if (!queues[i].ready)
			return ghvm_error_set(err, -EINVAL, "the driver has not set up queue %u",
					      i);
	r = CALL(k, VHOST_SET_FEATURES, &accepted, err);
	for (unsigned int i = 0; r == 0 && i < VHOST_KERNEL_QUEUES; i++)
		r = set_queue(k, i, &queues[i].ring, err);
	return r;
}

void vhost_kernel_kick(const struct vhost_kernel *k, unsigned int queue)
{
	const uint64_t one = 1;

	if (write(k->kick[queue], &one, sizeof(one)) < 0)
		return; /* a full eventfd is readable, too */
}

bool vhost_kernel_happened(int event)
{
	uint64_t count;

	return read(event, &count, sizeof(count)) > 0;
}

void vhost_kernel_forget(const struct vhost_kernel *k)
{
	(void)vhost_kernel_happened(k->call);
	for (unsigned int i = 0; i < VHOST_KERNEL_QUEUES; i++) {
		(void)vhost_kernel_happened(k->error[i]);
		(void)vhost_kernel_happened(k->kick[i]);
	}
}
