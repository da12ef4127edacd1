/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * descriptors: size * { u64 address, u32 length, u16 flags, u16 next }
 * avail: u16 flags, u16 index, size * u16 head, u16
 * used: u16 flags, u16 index, size * { u32 head, u32 written }, u16
 *
 * All little-endian. The last u16 of each is an event index: behind avail the driver's for interrupts, behind used
 * the device's for notifications.
 */
#include "daemon/runner/virtio/ring.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/wire.h"

#define DESCRIPTOR_SIZE 16
#define AVAIL_HEADER 4
#define AVAIL_ENTRY 2
#define USED_HEADER 4
#define USED_ENTRY 8
#define RING_TAIL 2
#define RING_INDEX 2 /* offset in both */

enum descriptor_flag {
	DESCRIPTOR_NEXT = 1,
	DESCRIPTOR_WRITE = 2,
	DESCRIPTOR_INDIRECT = 4,
};

#define AVAIL_NO_INTERRUPT 1

struct descriptor {
	uint64_t address;
	uint32_t size;
	uint16_t flags;
	uint16_t next;
};

/* ---- single aligned values, in memory that the guest may be writing ---- */

static uint16_t load16(const void *at)
{
	const uint16_t *word = at;

	return le16toh(__atomic_load_n(word, __ATOMIC_ACQUIRE));
}

static void store32(void *at, uint32_t v)
{
	uint32_t *word = at;

	__atomic_store_n(word, htole32(v), __ATOMIC_RELAXED);
}

/* In a table anywhere, which need not be aligned. Read once: what is checked is the copy. */
static struct descriptor load_descriptor(const uint8_t *table, uint16_t nth)
{
	uint8_t bytes[DESCRIPTOR_SIZE];
	struct ghvm_get g = { .buf = bytes, .len = sizeof(bytes) };
	struct descriptor d;

	memcpy(bytes, table + (size_t)nth * DESCRIPTOR_SIZE, sizeof(bytes));
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* the compiler does not read it again */
	d.address = ghvm_get_u64(&g);
	d.size = ghvm_get_u32(&g);
	d.flags = ghvm_get_u16(&g);
	d.next = ghvm_get_u16(&g);
	return d;
}

/* ---- set up ---- */

/* @at is in the map at a page, so what is aligned for the guest is aligned here. */
static int find_part(const struct dma_map *dma, const char *name, uint64_t ipa, uint64_t size,
		     uint64_t align, uint8_t **ret, struct ghvm_error *err)
{
	if (!ghvm_aligned(ipa, align))
		return ghvm_error_set(err, -EBADMSG,
				      "the %s are at 0x%" PRIx64 ", not a multiple of %" PRIu64,
				      name, ipa, align);
	*ret = dma_map_find(dma, ipa, size);
	if (!*ret)
		return ghvm_error_set(err, -EBADMSG,
				      "the %s at 0x%" PRIx64
				      " are not in memory that the guest shares",
				      name, ipa);
	return 0;
}

int ring_init(const struct ring_setup *setup, uint32_t max, const struct dma_map *dma,
	      struct ring *ret, struct ghvm_error *err)
{
	const uint64_t n = setup->size;
	uint8_t *descriptors = NULL, *avail = NULL, *used = NULL;
	int r;

	if (!n || n > max || (n & (n - 1)))
		return ghvm_error_set(err, -EBADMSG,
				      "%" PRIu64 " descriptors are not a power of 2, at most %u", n,
				      max);
	r = find_part(dma, "descriptors", setup->descriptors, n * DESCRIPTOR_SIZE, 16, &descriptors,
		      err);
	if (r == 0)
		r = find_part(dma, "available descriptors", setup->avail,
			      AVAIL_HEADER + n * AVAIL_ENTRY + RING_TAIL, 2, &avail, err);
	if (r == 0)
		r = find_part(dma, "used descriptors", setup->used,
			      USED_HEADER + n * USED_ENTRY + RING_TAIL, 4, &used, err);
	if (r < 0)
		return r;
	*ret = (struct ring){
		.size = (uint16_t)n,
		.descriptors = descriptors,
		.avail = avail,
		.used = used,
	};
	return 0;
}

/* ---- chains ---- */

static int check_order(const struct ring_chain *c, const struct descriptor *d, uint16_t nth,
		       struct ghvm_error *err)
{
	const bool after_writable = c->n && c->buffers[c->n - 1].writable;

	if (after_writable && !(d->flags & DESCRIPTOR_WRITE))
		return ghvm_error_set(err, -EBADMSG,
				      "descriptor %u is to be read, after one to be written", nth);
	return 0;
}

static int add_buffer(struct ring_chain *c, const struct descriptor *d, uint16_t nth,
		      const struct dma_map *dma, uint64_t *total, struct ghvm_error *err)
{
	uint8_t *at = dma_map_find(dma, d->address, d->size);

	if (!at && d->size)
		return ghvm_error_set(err, -EBADMSG,
				      "descriptor %u, %" PRIu32 " bytes at 0x%" PRIx64
				      ", is not in memory that the guest shares",
				      nth, d->size, d->address);
	*total += d->size; /* at most RING_SIZE_MAX * 4 GiB */
	if (*total > UINT32_MAX)
		return ghvm_error_set(err, -EBADMSG, "the chain of descriptor %u has 4 GiB or more",
				      c->head);
	c->buffers[c->n++] = (struct ring_buffer){
		.at = at,
		.size = d->size,
		.writable = d->flags & DESCRIPTOR_WRITE,
	};
	return 0;
}

/**
 * struct table - where the descriptors of a chain are: in the ring, or in a table that one of those names
 */
struct table {
	const uint8_t *at;
	uint32_t n;
};

static int enter_table(const struct ring *r, const struct dma_map *dma, const struct descriptor *d,
		       uint16_t nth, struct table *t, struct ghvm_error *err)
{
	if (!r->indirect)
		return ghvm_error_set(err, -EBADMSG,
				      "descriptor %u is indirect, which was not offered", nth);
	if (t->at != r->descriptors || (d->flags & DESCRIPTOR_NEXT))
		return ghvm_error_set(err, -EBADMSG,
				      "descriptor %u is indirect, in a table or with a next one",
				      nth);
	if (!d->size || !ghvm_aligned(d->size, DESCRIPTOR_SIZE))
		return ghvm_error_set(err, -EBADMSG,
				      "descriptor %u names a table of %" PRIu32
				      " bytes, not a multiple of 16",
				      nth, d->size);
	t->at = dma_map_find(dma, d->address, d->size);
	t->n = d->size / DESCRIPTOR_SIZE;
	if (!t->at)
		return ghvm_error_set(err, -EBADMSG,
				      "descriptor %u names a table at 0x%" PRIx64
				      ", which is not in memory that the guest shares",
				      nth, d->address);
	return 0;
}

/* A chain with a loop has more descriptors than the ring. At most one of them is indirect. */
static int walk_chain(const struct ring *r, const struct dma_map *dma, struct ring_chain *c,
		      struct ghvm_error *err)
{
	struct table t = { r->descriptors, r->size };
	uint16_t nth = c->head;
	uint64_t total = 0;
	struct descriptor d;
	int e;

	do {
		if (nth >= t.n)
			return ghvm_error_set(err, -EBADMSG, "descriptor %u of %u is named", nth,
					      t.n);
		if (c->n == r->size)
			return ghvm_error_set(err, -EBADMSG,
					      "the chain of descriptor %u does not end", c->head);
		d = load_descriptor(t.at, nth);
		if (d.flags & DESCRIPTOR_INDIRECT) {
			e = enter_table(r, dma, &d, nth, &t, err);
			d = (struct descriptor){ .flags = DESCRIPTOR_NEXT }; /* to its first */
		} else {
			e = check_order(c, &d, nth, err);
			if (e == 0)
				e = add_buffer(c, &d, nth, dma, &total, err);
		}
		if (e < 0)
			return e;
		nth = d.next;
	} while (d.flags & DESCRIPTOR_NEXT);
	return 1;
}

int ring_take(struct ring *r, const struct dma_map *dma, struct ring_chain *ret,
	      struct ghvm_error *err)
{
	const uint16_t offered = load16(r->avail + RING_INDEX);
	const uint16_t n = (uint16_t)(offered - r->taken);
	const size_t slot = r->taken & (r->size - 1);

	if (n > r->size)
		return ghvm_error_set(err, -EBADMSG, "%u chains are offered, of %u descriptors", n,
				      r->size);
	if (!n)
		return 0;
	r->taken++;
	ret->head = load16(r->avail + AVAIL_HEADER + slot * AVAIL_ENTRY);
	ret->n = 0;
	return walk_chain(r, dma, ret, err);
}

bool ring_await(struct ring *r)
{
	uint16_t *event = (void *)(r->used + USED_HEADER + (size_t)r->size * USED_ENTRY);
	const uint16_t *index = (const void *)(r->avail + RING_INDEX);

	if (!r->events)
		return false;
	/* The driver sets the index and then reads this: one of both must see the other's. */
	__atomic_store_n(event, htole16(r->taken), __ATOMIC_SEQ_CST);
	return le16toh(__atomic_load_n(index, __ATOMIC_SEQ_CST)) != r->taken;
}

/* Has the chain just given the index that the driver waits for, or does its flag allow an interrupt? */
static bool wants_interrupt(const struct ring *r)
{
	const uint16_t *event =
		(const void *)(r->avail + AVAIL_HEADER + (size_t)r->size * AVAIL_ENTRY);
	const uint16_t *flags = (const void *)r->avail;

	if (r->events)
		return le16toh(__atomic_load_n(event, __ATOMIC_SEQ_CST)) ==
		       (uint16_t)(r->given - 1);
	return !(le16toh(__atomic_load_n(flags, __ATOMIC_SEQ_CST)) & AVAIL_NO_INTERRUPT);
}

bool ring_give(struct ring *r, uint16_t head, uint32_t written)
{
	uint8_t *entry = r->used + USED_HEADER + (size_t)(r->given & (r->size - 1)) * USED_ENTRY;
	uint16_t *index = (void *)(r->used + RING_INDEX);

	store32(entry, head);
	store32(entry + 4, written);
	/* The driver says when it wants one and then reads the index: one of both must see the other's. */
	__atomic_store_n(index, htole16(++r->given), __ATOMIC_SEQ_CST);
	return wants_interrupt(r);
}
