/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fragments of resource manager messages.
 */
#include "libghvm/rm/packet.h"

#include <assert.h>
#include <string.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/wire.h"

#define HEADER_VERSION GHVM_BITS(3, 0)
#define HEADER_WORDS GHVM_BITS(7, 4)
#define HEADER_TYPE GHVM_BITS(1, 0)
#define HEADER_FRAGMENTS GHVM_BITS(7, 2)

#define VERSION 1
#define WORDS 2

struct header {
	enum ghvm_packet_type type;
	unsigned int fragments;
	uint16_t seq;
	uint32_t id;
};

/*@
  assigns \nothing;
  ensures len <= GHVM_PACKET_MESSAGE_MAX ==> 1 <= \result <= GHVM_PACKET_FRAGMENTS_MAX + 1;
  ensures len <= GHVM_PACKET_MESSAGE_MAX ==> len <= \result * GHVM_PACKET_CONTENT;
  ensures 0 < len <= GHVM_PACKET_MESSAGE_MAX ==> (\result - 1) * GHVM_PACKET_CONTENT < len;
*/
unsigned int ghvm_packet_count(size_t len)
{
	return len ? (unsigned int)((len - 1) / GHVM_PACKET_CONTENT + 1) : 1;
}

/* u8 version and words, u8 type and fragments, u16 seq, u32 id */
static void put_header(struct ghvm_put *w, const struct header *h)
{
	ghvm_put_u8(w, (uint8_t)(ghvm_bits_put(HEADER_VERSION, VERSION) |
				 ghvm_bits_put(HEADER_WORDS, WORDS)));
	ghvm_put_u8(w, (uint8_t)(ghvm_bits_put(HEADER_TYPE, h->type) |
				 ghvm_bits_put(HEADER_FRAGMENTS, h->fragments)));
	ghvm_put_u16(w, h->seq);
	ghvm_put_u32(w, h->id);
}

/* False: the packet is to be dropped. */
/*@
  requires get_valid(g) && \valid(ret) && \separated(ret, g, g->buf + (0 .. g->len - 1));
  assigns g->len, g->bad, g->buf, *ret;
  ensures get_valid(g);
  ensures \result ==> g->len <= GHVM_PACKET_CONTENT && g->len <= \old(g->len);
  ensures \result ==> g->buf == \old(g->buf) + GHVM_PACKET_HEADER;
  ensures \result ==> g->len == \old(g->len) - GHVM_PACKET_HEADER;
  ensures \result ==> ret->fragments <= GHVM_PACKET_FRAGMENTS_MAX;
*/
static bool get_header(struct ghvm_get *g, struct header *ret)
{
	uint8_t first = ghvm_get_u8(g);
	uint8_t second = ghvm_get_u8(g);

	*ret = (struct header){
		.type = (enum ghvm_packet_type)ghvm_bits_get(HEADER_TYPE, second),
		.fragments = (unsigned int)ghvm_bits_get(HEADER_FRAGMENTS, second),
	};
	ret->seq = ghvm_get_u16(g);
	ret->id = ghvm_get_u32(g);
	return !g->bad && ghvm_bits_get(HEADER_VERSION, first) == VERSION &&
	       ghvm_bits_get(HEADER_WORDS, first) == WORDS && g->len <= GHVM_PACKET_CONTENT &&
	       ret->fragments <= GHVM_PACKET_FRAGMENTS_MAX;
}

size_t ghvm_packet_build(uint32_t id, uint16_t seq, const uint8_t *payload, size_t len,
			 unsigned int index, uint8_t ret[GHVM_PACKET_SIZE])
{
	struct ghvm_put w = { .buf = ret, .cap = GHVM_PACKET_SIZE };
	size_t from = (size_t)index * GHVM_PACKET_CONTENT;
	size_t n;

	assert(len <= GHVM_PACKET_MESSAGE_MAX && index < ghvm_packet_count(len));
	n = len - from < GHVM_PACKET_CONTENT ? len - from : GHVM_PACKET_CONTENT;
	put_header(&w, &(struct header){
			       .type = index ? GHVM_PACKET_CONTINUATION : GHVM_PACKET_REQUEST,
			       .fragments = ghvm_packet_count(len) - 1,
			       .seq = seq,
			       .id = id,
		       });
	if (n)
		ghvm_put_bytes(&w, payload + from, n);
	return w.len;
}

/*@
  // What has come fits into the packets that have come, so what is to come fits into the buffer.
  predicate assembly_valid(struct ghvm_assembly *a) =
    a->fragments <= GHVM_PACKET_FRAGMENTS_MAX && a->left <= a->fragments + 1 &&
    a->len <= (a->fragments + 1 - a->left) * GHVM_PACKET_CONTENT;
*/

/*@
  requires \valid(a) && \valid_read(h) && \separated(a, h);
  requires h->fragments <= GHVM_PACKET_FRAGMENTS_MAX;
  assigns a->type, a->left, a->fragments, a->seq, a->id, a->len;
  ensures assembly_valid(a) && a->left > 0;
*/
static void begin_assembly(struct ghvm_assembly *a, const struct header *h)
{
	a->type = h->type;
	a->left = h->fragments + 1;
	a->fragments = h->fragments;
	a->seq = h->seq;
	a->id = h->id;
	a->len = 0;
}

/*@
  requires \valid_read(a) && \valid_read(h);
  assigns \nothing;
  ensures \result ==> a->left > 0;
*/
static bool is_continued_by(const struct ghvm_assembly *a, const struct header *h)
{
	return a->left && a->seq == h->seq && a->id == h->id && a->fragments == h->fragments;
}

/* Always fits: at most 63 packets of at most CONTENT bytes each. Return: @m if that completes it, or NULL. */
/*@
  requires \valid(m) && assembly_valid(m) && m->left > 0;
  requires n <= GHVM_PACKET_CONTENT && \valid_read(p + (0 .. n - 1));
  requires \separated(m, p + (0 .. n - 1));
  assigns m->len, m->left, m->buf[m->len .. m->len + n - 1];
  ensures assembly_valid(m) && m->left == \old(m->left) - 1;
  ensures m->len == \old(m->len) + n && m->len <= GHVM_PACKET_MESSAGE_MAX;
  ensures \result == \null || \result == m;
  ensures \result == \null <==> m->left > 0;
*/
static const struct ghvm_assembly *add_content(struct ghvm_assembly *m, const uint8_t *p, size_t n)
{
	if (n)
		memcpy(m->buf + m->len, p, n);
	m->len += n;
	m->left--;
	return m->left ? NULL : m;
}

/*@
  requires \valid(a) && \valid_read(packet + (0 .. len - 1));
  requires \separated(a, packet + (0 .. len - 1));
  requires assembly_valid(&a->reply) && assembly_valid(&a->notification);
  assigns a->reply, a->notification;
  ensures assembly_valid(&a->reply) && assembly_valid(&a->notification);
  ensures \result == \null || \result == &a->reply || \result == &a->notification;
  ensures \result != \null ==> \result->left == 0 && \result->len <= GHVM_PACKET_MESSAGE_MAX;
*/
const struct ghvm_assembly *ghvm_assembler_feed(struct ghvm_assembler *a, const uint8_t *packet,
						size_t len)
{
	struct ghvm_get g = { .buf = packet, .len = len };
	struct header h;

	if (!get_header(&g, &h))
		return NULL;
	switch (h.type) {
	case GHVM_PACKET_REPLY:
		begin_assembly(&a->reply, &h); /* an incomplete earlier one is dropped */
		return add_content(&a->reply, g.buf, g.len);
	case GHVM_PACKET_NOTIFICATION:
		begin_assembly(&a->notification, &h);
		return add_content(&a->notification, g.buf, g.len);
	case GHVM_PACKET_CONTINUATION:
		if (is_continued_by(&a->reply, &h))
			return add_content(&a->reply, g.buf, g.len);
		if (is_continued_by(&a->notification, &h))
			return add_content(&a->notification, g.buf, g.len);
		return NULL;
	case GHVM_PACKET_REQUEST:
		return NULL; /* RM sends no requests */
	}
	return NULL;
}
