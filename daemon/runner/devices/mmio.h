/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which device answers at which guest address.
 *
 * The table is filled before any vCPU runs and never changes then, so vCPU threads look
 * devices up without a lock. Where no device is, reads give ones and writes go nowhere.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MMIO_DEVICES_MAX 34 /* UART, GPIO and 32 of virtio */

/**
 * struct mmio_device - one range of registers
 * @first, @last: guest addresses, inclusive
 * @read, @write: @offset from @first, the whole access lies inside; @size 1, 2, 4 or 8.
 *                Thread: any
 * @data: passed to them, borrowed
 */
struct mmio_device {
	uint64_t first;
	uint64_t last;
	uint64_t (*read)(void *data, uint64_t offset, unsigned int size);
	void (*write)(void *data, uint64_t offset, unsigned int size, uint64_t value);
	void *data;
};

/**
 * struct mmio_table - devices by rising address
 * @strays: accesses that met no device
 *
 * Thread: main until the vCPUs run, then any.
 */
struct mmio_table {
	struct mmio_device devices[MMIO_DEVICES_MAX];
	size_t n;
	atomic_ullong strays;
};

/* Return: 0; -EINVAL an empty range; -EEXIST it overlaps another; -ENOSPC. */
int mmio_add(struct mmio_table *t, const struct mmio_device *device);

/**
 * mmio_read() - one guest load
 * @ipa, @size: as the hypervisor gave them, not trusted
 * @ret: the value, no wider than @size
 *
 * Return: true; false: a stray access, *ret is all ones.
 */
bool mmio_read(struct mmio_table *t, uint64_t ipa, uint64_t size, uint64_t *ret);
bool mmio_write(struct mmio_table *t, uint64_t ipa, uint64_t size, uint64_t value);
