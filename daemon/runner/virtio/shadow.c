/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The back-end's rings have the layout of the guest's (ring.c).
 */
#include "daemon/runner/virtio/shadow.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_INDEX 2
#define RING_HEADER 4
#define AVAIL_ENTRY 2
#define USED_ENTRY 8
#define USED_NO_NOTIFY 1

void shadow_init(struct shadow *s, const struct ring *guest)
{
	memset(s, 0, sizeof(*s));
	s->guest = *guest;
}

static void set_offered(struct shadow *s)
{
	uint16_t *index = (void *)(s->rings + RING_INDEX);

	/* Before the flag is read that says whether a kick is wanted. */
	__atomic_store_n(index, htole16(s->offered), __ATOMIC_SEQ_CST);
}

static void offer_head(struct shadow *s, uint16_t head)
{
	const size_t slot = s->offered & (s->guest.size - 1);
	uint16_t *entry = (void *)(s->rings + RING_HEADER + slot * AVAIL_ENTRY);

	__atomic_store_n(entry, htole16(head), __ATOMIC_RELAXED);
	s->offered++;
}

/* The chain that was given next after @order; the size of the ring: none. */
static uint16_t find_next(const struct shadow *s, uint64_t order)
{
	uint16_t best = s->guest.size;

	for (uint16_t i = 0; i < s->guest.size; i++)
		if (s->given[i].order > order &&
		    (best == s->guest.size || s->given[i].order < s->given[best].order))
			best = i;
	return best;
}

void shadow_attach(struct shadow *s, uint8_t *rings)
{
	uint16_t head;

	s->rings = rings;
	s->offered = s->seen = 0;
	for (uint64_t order = 0; (head = find_next(s, order)) < s->guest.size;
	     order = s->given[head].order)
		offer_head(s, head);
	set_offered(s);
}

void shadow_detach(struct shadow *s)
{
	s->rings = NULL;
}

static const uint8_t *find_status(const struct ring_chain *c)
{
	const struct ring_buffer *last = c->n ? &c->buffers[c->n - 1] : NULL;

	return last && last->writable && last->size ? last->at + last->size - 1 : NULL;
}

static int give_chain(struct shadow *s, struct ghvm_error *err)
{
	struct shadow_chain *given = &s->given[s->chain.head];

	if (given->order)
		return ghvm_error_set(err, -EBADMSG,
				      "descriptor %u is offered again before it was used",
				      s->chain.head);
	*given = (struct shadow_chain){
		.order = ++s->last,
		.readable = counts_bytes(&s->chain, false),
		.writable = counts_bytes(&s->chain, true),
		.status = find_status(&s->chain),
	};
	s->n_given++;
	offer_head(s, s->chain.head);
	return 0;
}

/* Each chain has another first descriptor, so there are at most as many as the ring has. */
int shadow_forward(struct shadow *s, const struct dma_map *dma, struct ghvm_error *err)
{
	int n = 0, r;

	do {
		while ((r = ring_take(&s->guest, dma, &s->chain, err)) > 0) {
			r = give_chain(s, err);
			if (r < 0)
				break;
			n++;
		}
	} while (r == 0 && ring_await(&s->guest));
	if (n)
		set_offered(s);
	return r < 0 ? r : n;
}

bool shadow_wants_kick(const struct shadow *s)
{
	const uint16_t *flags = (const void *)(s->rings + SHADOW_USED);

	return !(le16toh(__atomic_load_n(flags, __ATOMIC_SEQ_CST)) & USED_NO_NOTIFY);
}

/* The guest may change the status at any time: it is counted, and used for nothing else. */
static void count_back(struct shadow *s, const struct shadow_chain *given, uint32_t written)
{
	const struct virtio_counts one = {
		.requests = 1,
		.from_guest = given->readable,
		.to_guest = written,
		.errors = s->has_status && given->status &&
			  __atomic_load_n(given->status, __ATOMIC_RELAXED),
	};

	counts_add(&s->counts, &one);
}

static int take_back(struct shadow *s, bool *ret_interrupt, struct ghvm_error *err)
{
	const size_t slot = s->seen & (s->guest.size - 1);
	const uint32_t *entry =
		(const void *)(s->rings + SHADOW_USED + RING_HEADER + slot * USED_ENTRY);
	const uint32_t head = le32toh(__atomic_load_n(entry, __ATOMIC_RELAXED));
	const uint32_t written = le32toh(__atomic_load_n(entry + 1, __ATOMIC_RELAXED));

	if (head >= s->guest.size || !s->given[head].order)
		return ghvm_error_set(err, -EBADMSG,
				      "it gives back descriptor %u, which it does not have", head);
	if (written > s->given[head].writable)
		return ghvm_error_set(err, -EBADMSG,
				      "it has written %u bytes to descriptor %u, which has %u",
				      written, head, s->given[head].writable);
	count_back(s, &s->given[head], written);
	s->given[head] = (struct shadow_chain){};
	s->n_given--;
	s->seen++;
	*ret_interrupt |= ring_give(&s->guest, (uint16_t)head, written);
	return 0;
}

int shadow_collect(struct shadow *s, bool *ret_interrupt, struct ghvm_error *err)
{
	const uint16_t *index = (const void *)(s->rings + SHADOW_USED + RING_INDEX);
	const uint16_t used = le16toh(__atomic_load_n(index, __ATOMIC_ACQUIRE));
	const uint16_t n = (uint16_t)(used - s->seen);
	int r = 0;

	if (n > s->n_given)
		return ghvm_error_set(err, -EBADMSG, "it gives back %u chains and has %zu", n,
				      s->n_given);
	for (uint16_t i = 0; r == 0 && i < n; i++)
		r = take_back(s, ret_interrupt, err);
	return r < 0 ? r : n;
}
