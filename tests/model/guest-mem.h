/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's driver for memory that comes and goes: hears MEM_SHARED and MEM_RECALL from RM,
 * accepts and releases. For guests that are made up, by tests/model/sock and by unit tests.
 *
 * Not a good citizen by itself: it does what it is told to, so that tests can have bad ones.
 */
#pragma once

#include "tests/model/core/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_MEM_REGIONS_MAX 32
#define GUEST_MEM_MESSAGE_MAX 14616
#define GUEST_MEM_SILENCE 0xfffffffeU /* RM did not answer */

/**
 * struct guest_mem_region - a parcel that the guest has heard of
 * @ipa: where it was asked to map it, and does
 * @offered: MEM_SHARED came, and it is not accepted
 * @recalled: MEM_RECALL came after that
 */
struct guest_mem_region {
	bool used;
	uint32_t handle;
	uint32_t label;
	uint32_t tag;
	uint64_t ipa;
	uint64_t size;
	bool offered;
	bool accepted;
	bool recalled;
};

/**
 * struct guest_mem - the driver
 * @shared, @recalls: how many of these notifications came
 */
struct guest_mem {
	struct model *m;
	unsigned int slot;
	struct model_link link;
	uint16_t seq;
	unsigned int shared;
	unsigned int recalls;
	struct guest_mem_region regions[GUEST_MEM_REGIONS_MAX];
	uint32_t status; /* of the reply that came last */
	bool replied;
	unsigned int type;
	unsigned int left; /* packets that are missing */
	uint32_t id;
	size_t len;
	uint8_t buf[GUEST_MEM_MESSAGE_MAX];
};

/* False: the guest has no link to RM. */
bool guest_mem_init(struct guest_mem *g, struct model *m, unsigned int slot);

/* Reads all that RM has to say. */
void guest_mem_poll(struct guest_mem *g);

/* RM's status. They do not say anything to the owner. */
uint32_t guest_mem_accept(struct guest_mem *g, struct guest_mem_region *r);
uint32_t guest_mem_release(struct guest_mem *g, struct guest_mem_region *r);

/* That it was accepted or released, true or not. RM's status. */
uint32_t guest_mem_say(struct guest_mem *g, const struct guest_mem_region *r, bool accepted);

/*
 * Accepts what is offered, and releases what is recalled unless it @keeps; and says so unless it
 * is @silent.
 */
void guest_mem_serve(struct guest_mem *g, bool keeps, bool silent);

/*
 * The youngest that is to be accepted, or, @recalled, released; of this label or (-1) of any; or
 * NULL.
 */
struct guest_mem_region *guest_mem_find(struct guest_mem *g, int64_t label, bool recalled);
