/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring between a guest and a back-end in another process, of which neither trusts the other.
 *
 * The descriptors are the guest's. Of the other two rings the back-end gets its own: the runner puts into the
 * one what the guest has offered, after it has checked the chain, and hands to the guest what comes back in the
 * other. So it knows which chains the back-end has. A new back-end gets the same ones again: none is lost, and
 * the guest gets each back once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/virtio/counts.h"
#include "daemon/runner/virtio/dma-map.h"
#include "daemon/runner/virtio/ring.h"
#include "ghvm/error.h"

#define SHADOW_SIZE 4096 /* bytes of the back-end's rings */
#define SHADOW_USED 1024 /* where the used ring begins; before it the available ring */

/**
 * struct shadow_chain - a chain that the back-end has
 * @order: 1, 2, ... in the order in which the guest has offered them; 0: the back-end does not have it
 * @readable, @writable: bytes that the back-end may read, and write
 * @status: the last byte that it may write; NULL: none
 */
struct shadow_chain {
	uint64_t order;
	uint32_t readable;
	uint32_t writable;
	const uint8_t *status;
};

/**
 * struct shadow - the rings of a queue
 * @guest: the guest's
 * @rings: the back-end's, SHADOW_SIZE bytes; it can write them at any time. NULL: there is no back-end
 * @offered: chains put into the available ring; @seen: chains taken from the used ring. Modulo 65536
 * @given: the chains that the back-end has, by the number of their first descriptor, @n_given of them
 * @last: the order of the last one
 * @has_status: the last byte of a request says whether it has failed
 * @counts: what went back to the guest since the caller has set them to 0
 * @chain: being checked
 *
 * Thread: one.
 */
struct shadow {
	struct ring guest;
	uint8_t *rings;
	uint16_t offered;
	uint16_t seen;
	struct shadow_chain given[RING_SIZE_MAX];
	size_t n_given;
	uint64_t last;
	bool has_status;
	struct virtio_counts counts;
	struct ring_chain chain;
};

/* Begin with the rings of a guest that has just set them up. */
void shadow_init(struct shadow *s, const struct ring *guest);

/**
 * shadow_attach() - there is a new back-end
 * @rings: SHADOW_SIZE zeroes, that no earlier back-end can write; borrowed until shadow_detach()
 *
 * All chains that the earlier one had are offered again, in their order.
 */
void shadow_attach(struct shadow *s, uint8_t *rings);
void shadow_detach(struct shadow *s);

/**
 * shadow_forward() - offer the back-end what the guest has offered since
 *
 * Return: number of chains; -EBADMSG with a message: no driver that obeys the specification writes this.
 */
int shadow_forward(struct shadow *s, const struct dma_map *dma, struct ghvm_error *err);

/* Does the back-end want to be notified? */
bool shadow_wants_kick(const struct shadow *s);

/**
 * shadow_collect() - hand to the guest what the back-end has given back
 * @ret_interrupt: set to true if the guest wants an interrupt, else unchanged
 *
 * Return: number of chains; -EBADMSG with a message: the back-end gives back what it does not have.
 */
int shadow_collect(struct shadow *s, bool *ret_interrupt, struct ghvm_error *err);
