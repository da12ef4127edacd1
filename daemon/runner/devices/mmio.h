/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Table of devices by guest address.
 *
 * The table is filled before vCPUs run and then does not change, so vCPU threads read it without a lock.
 * Reads of addresses without a device return all ones, writes are ignored.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MMIO_DEVICES_MAX 34 /* as many as a plan has */

/**
 * struct mmio_device - registers of a device
 * @first, @last: guest addresses, inclusive
 * @read, @write: @offset from @first; the access lies completely inside; @size 1, 2, 4 or 8.
 *                Thread: any
 * @data: passed to both, borrowed
 */
struct mmio_device {
	uint64_t first;
	uint64_t last;
	uint64_t (*read)(void *data, uint64_t offset, unsigned int size);
	void (*write)(void *data, uint64_t offset, unsigned int size, uint64_t value);
	void *data;
};

/**
 * struct mmio_table - devices, sorted by address
 * @strays: number of accesses without a device
 *
 * Thread: main until the vCPUs run, then any.
 */
struct mmio_table {
	struct mmio_device devices[MMIO_DEVICES_MAX];
	size_t n;
	atomic_ullong strays;
};

/* Return: 0; -EINVAL empty range; -EEXIST overlaps another device; -ENOSPC. */
int mmio_add(struct mmio_table *t, const struct mmio_device *device);

/**
 * mmio_read() - handle a load of the guest
 * @ipa, @size: from the hypervisor, not trusted
 * @ret: the value, no wider than @size
 *
 * Return: true; false: a stray access, *ret is all ones.
 */
bool mmio_read(struct mmio_table *t, uint64_t ipa, uint64_t size, uint64_t *ret);
bool mmio_write(struct mmio_table *t, uint64_t ipa, uint64_t size, uint64_t value);
