/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's driver for memory added and removed at run time: receives MEM_SHARED and MEM_RECALL
 * from RM, accepts and releases. For the scripted guests of tests/model/sock and of unit tests.
 *
 * It does only what its caller asks for, so that tests can have misbehaving guests.
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
 * struct guest_mem_region - a parcel announced to the guest
 * @ipa: requested address, which the guest uses
 * @offered: MEM_SHARED received and not accepted
 * @recalled: MEM_RECALL received afterwards
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
 * @shared, @recalls: number of these notifications
 */
struct guest_mem {
	struct model *m;
	unsigned int slot;
	struct model_link link;
	uint16_t seq;
	unsigned int shared;
	unsigned int recalls;
	struct guest_mem_region regions[GUEST_MEM_REGIONS_MAX];
	uint32_t status; /* of the last reply */
	bool replied;
	unsigned int type;
	unsigned int left; /* packets missing */
	uint32_t id;
	size_t len;
	uint8_t buf[GUEST_MEM_MESSAGE_MAX];
};

/* False: the guest has no RM node. */
bool guest_mem_init(struct guest_mem *g, struct model *m, unsigned int slot);

/* Read all messages from RM. */
void guest_mem_poll(struct guest_mem *g);

/* Return: RM's status. The owner is not notified. */
uint32_t guest_mem_accept(struct guest_mem *g, struct guest_mem_region *r);
uint32_t guest_mem_release(struct guest_mem *g, struct guest_mem_region *r);

/* Notify the owner that the region was accepted or released, true or not. Return: RM's status. */
uint32_t guest_mem_say(struct guest_mem *g, const struct guest_mem_region *r, bool accepted);

/* Leave a message for the owner (SET_CRASH_MSG); at most 200 bytes. Return: RM's status. */
uint32_t guest_mem_set_crash(struct guest_mem *g, const char *text, size_t n);

/*
 * Accept offered regions, and release recalled ones unless @keeps. Notify the owner unless
 * @silent.
 */
void guest_mem_serve(struct guest_mem *g, bool keeps, bool silent);

/*
 * The newest offered region, or with @recalled the newest accepted and recalled one; with this
 * label, or -1 for any; or NULL.
 */
struct guest_mem_region *guest_mem_find(struct guest_mem *g, int64_t label, bool recalled);
