/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a virtio device has done: shown by `ghvmctl status`.
 */
#pragma once

#include "daemon/runner/virtio/ring.h"

/**
 * struct virtio_counts - since the start of the runner
 * @requests: chains that went back to the guest
 * @from_guest: bytes that the device could read in them
 * @to_guest: bytes that the device has written to them
 * @errors: requests that were answered with an error
 */
struct virtio_counts {
	unsigned long long requests;
	unsigned long long from_guest;
	unsigned long long to_guest;
	unsigned long long errors;
};

static inline void counts_add(struct virtio_counts *to, const struct virtio_counts *more)
{
	to->requests += more->requests;
	to->from_guest += more->from_guest;
	to->to_guest += more->to_guest;
	to->errors += more->errors;
}

/* Bytes of the buffers of @c that the device reads, or those that it writes. */
static inline uint32_t counts_bytes(const struct ring_chain *c, bool writable)
{
	uint32_t n = 0; /* a chain has less than 4 GiB */

	for (size_t i = 0; i < c->n; i++)
		if (c->buffers[i].writable == writable)
			n += c->buffers[i].size;
	return n;
}
