/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Find the device of an access. A device only gets accesses that lie completely inside its registers.
 */
#include "daemon/runner/devices/mmio.h"

#include <errno.h>
#include <string.h>

int mmio_add(struct mmio_table *t, const struct mmio_device *device)
{
	size_t i;

	if (device->first > device->last)
		return -EINVAL;
	if (t->n >= MMIO_DEVICES_MAX)
		return -ENOSPC;
	for (i = 0; i < t->n && t->devices[i].last < device->first; i++)
		;
	if (i < t->n && t->devices[i].first <= device->last)
		return -EEXIST;
	memmove(&t->devices[i + 1], &t->devices[i], (t->n - i) * sizeof(t->devices[0]));
	t->devices[i] = *device;
	t->n++;
	return 0;
}

static bool size_valid(uint64_t size)
{
	return size - 1 < 8 && !(size & (size - 1));
}

static uint64_t size_mask(uint64_t size)
{
	return size_valid(size) ? UINT64_MAX >> (64 - 8 * size) : UINT64_MAX;
}

/* Return: the device that contains the whole access, or NULL. */
static const struct mmio_device *find_device(const struct mmio_table *t, uint64_t ipa,
					     uint64_t size)
{
	size_t low = 0, high = t->n;

	if (!size_valid(size))
		return NULL;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct mmio_device *d = &t->devices[middle];

		if (ipa < d->first)
			high = middle;
		else if (ipa > d->last)
			low = middle + 1;
		else
			return size - 1 <= d->last - ipa ? d : NULL;
	}
	return NULL;
}

bool mmio_read(struct mmio_table *t, uint64_t ipa, uint64_t size, uint64_t *ret)
{
	const struct mmio_device *d = find_device(t, ipa, size);

	if (!d) {
		atomic_fetch_add(&t->strays, 1);
		*ret = size_mask(size);
		return false;
	}
	*ret = d->read(d->data, ipa - d->first, (unsigned int)size) & size_mask(size);
	return true;
}

bool mmio_write(struct mmio_table *t, uint64_t ipa, uint64_t size, uint64_t value)
{
	const struct mmio_device *d = find_device(t, ipa, size);

	if (!d) {
		atomic_fetch_add(&t->strays, 1);
		return false;
	}
	d->write(d->data, ipa - d->first, (unsigned int)size, value & size_mask(size));
	return true;
}
