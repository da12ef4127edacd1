/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * descriptors: size * { u64 address, u32 length, u16 flags, u16 next }
 * avail: u16 flags, u16 index, size * u16 head, u16
 * used: u16 flags, u16 index, size * { u32 head, u32 written }, u16
 *
 * All little-endian. The last u16 of both rings is for event indexes, which are not offered; the driver
 * reserves it all the same.
 */
#include "daemon/runner/virtio/ring.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>

#include "libghvm/base/bits.h"

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

static uint32_t load32(const void *at)
{
	const uint32_t *word = at;

	return le32toh(__atomic_load_n(word, __ATOMIC_RELAXED));
}

static uint64_t load64(const void *at)
{
	const uint64_t *word = at;

	return le64toh(__atomic_load_n(word, __ATOMIC_RELAXED));
}

static void store32(void *at, uint32_t v)
{
	uint32_t *word = at;

	__atomic_store_n(word, htole32(v), __ATOMIC_RELAXED);
}

static struct descriptor load_descriptor(const struct ring *r, uint16_t nth)
{
	const uint8_t *at = r->descriptors + (size_t)nth * DESCRIPTOR_SIZE;

	return (struct descriptor){
		.address = load64(at),
		.size = load32(at + 8),
		.flags = load16(at + 12),
		.next = load16(at + 14),
	};
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

	if (d->flags & DESCRIPTOR_INDIRECT)
		return ghvm_error_set(err, -EBADMSG,
				      "descriptor %u is indirect, which was not offered", nth);
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

/* A chain with a loop has more descriptors than the ring. */
static int walk_chain(const struct ring *r, const struct dma_map *dma, struct ring_chain *c,
		      struct ghvm_error *err)
{
	uint16_t nth = c->head;
	uint64_t total = 0;
	struct descriptor d;
	int e;

	do {
		if (nth >= r->size)
			return ghvm_error_set(err, -EBADMSG, "descriptor %u of %u is named", nth,
					      r->size);
		if (c->n == r->size)
			return ghvm_error_set(err, -EBADMSG,
					      "the chain of descriptor %u does not end", c->head);
		d = load_descriptor(r, nth);
		e = check_order(c, &d, nth, err);
		if (e == 0)
			e = add_buffer(c, &d, nth, dma, &total, err);
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

bool ring_give(struct ring *r, uint16_t head, uint32_t written)
{
	uint8_t *entry = r->used + USED_HEADER + (size_t)(r->given & (r->size - 1)) * USED_ENTRY;
	uint16_t *index = (void *)(r->used + RING_INDEX);
	const uint16_t *flags = (const void *)r->avail;

	store32(entry, head);
	store32(entry + 4, written);
	/* The driver sets the flag and then reads the index: one of both must see the other's. */
	__atomic_store_n(index, htole16(++r->given), __ATOMIC_SEQ_CST);
	return !(le16toh(__atomic_load_n(flags, __ATOMIC_SEQ_CST)) & AVAIL_NO_INTERRUPT);
}
