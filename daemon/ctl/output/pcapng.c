/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/output/pcapng.h"

#include "libghvm/rm/packet.h"
#include "libghvm/base/wire.h"

#include <assert.h>

#define SECTION_BLOCK 0x0a0d0d0aU
#define BYTE_ORDER_MAGIC 0x1a2b3c4dU
#define INTERFACE_BLOCK 1U
#define PACKET_BLOCK 6U
#define LINKTYPE_USER0 147
#define OPTION_FLAGS 2
#define FLAG_INBOUND 1U
#define FLAG_OUTBOUND 2U

#define HEADER_FIRST 0x21  /* version 1, two words, abi C.1 */
#define PACKET_OVERHEAD 44 /* bytes of a block without the packet */

static size_t padding(size_t n)
{
	return (4 - n % 4) % 4;
}

static void write_out(FILE *f, const struct ghvm_put *w)
{
	assert(!w->bad);
	(void)fwrite(w->buf, 1, w->len, f); /* the caller checks ferror() */
}

/* u32 type, u32 length, u32 magic, u16 1, u16 0, u64 unknown length, u32 length */
static void put_section(struct ghvm_put *w)
{
	const uint32_t length = 28;

	ghvm_put_u32(w, SECTION_BLOCK);
	ghvm_put_u32(w, length);
	ghvm_put_u32(w, BYTE_ORDER_MAGIC);
	ghvm_put_u16(w, 1);
	ghvm_put_u16(w, 0);
	ghvm_put_u64(w, UINT64_MAX);
	ghvm_put_u32(w, length);
}

/* u32 type, u32 length, u16 link type, u16 0, u32 no limit, u32 length; time in microseconds */
static void put_interface(struct ghvm_put *w)
{
	const uint32_t length = 20;

	ghvm_put_u32(w, INTERFACE_BLOCK);
	ghvm_put_u32(w, length);
	ghvm_put_u16(w, LINKTYPE_USER0);
	ghvm_put_u16(w, 0);
	ghvm_put_u32(w, 0);
	ghvm_put_u32(w, length);
}

void pcapng_begin(FILE *f)
{
	uint8_t buf[48];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	put_section(&w);
	put_interface(&w);
	write_out(f, &w);
}

static uint8_t type_of(const struct ghvm_trace_message *m)
{
	switch (m->dir) {
	case '<':
		return GHVM_PACKET_REPLY;
	case '!':
		return GHVM_PACKET_NOTIFICATION;
	}
	return GHVM_PACKET_REQUEST;
}

/* u8 first, u8 type, u16 seq, u32 id, kept part of the payload, padding */
static void put_packet(struct ghvm_put *w, const struct ghvm_trace_message *m, size_t kept)
{
	ghvm_put_u8(w, HEADER_FIRST);
	ghvm_put_u8(w, type_of(m));
	ghvm_put_u16(w, m->seq);
	ghvm_put_u32(w, m->id);
	ghvm_put_bytes(w, m->data, kept);
	ghvm_put_zero(w, padding(kept));
}

/*
 * u32 type, u32 length, u32 interface, u32 time high, u32 time low, u32 captured, u32 original,
 * packet, u16 option, u16 4, u32 flags, u32 end of options, u32 length
 */
void pcapng_add(FILE *f, const struct ghvm_trace_message *m)
{
	const size_t kept = m->len < sizeof(m->data) ? m->len : sizeof(m->data);
	const size_t captured = GHVM_PACKET_HEADER + kept;
	const uint32_t length = (uint32_t)(PACKET_OVERHEAD + captured + padding(kept));
	uint8_t buf[PACKET_OVERHEAD + GHVM_PACKET_HEADER + GHVM_TRACE_BYTES + 4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, PACKET_BLOCK);
	ghvm_put_u32(&w, length);
	ghvm_put_u32(&w, 0);
	ghvm_put_u32(&w, (uint32_t)(m->usec >> 32));
	ghvm_put_u32(&w, (uint32_t)m->usec);
	ghvm_put_u32(&w, (uint32_t)captured);
	ghvm_put_u32(&w, (uint32_t)GHVM_PACKET_HEADER + m->len);
	put_packet(&w, m, kept);
	ghvm_put_u16(&w, OPTION_FLAGS);
	ghvm_put_u16(&w, 4);
	ghvm_put_u32(&w, m->dir == '>' ? FLAG_OUTBOUND : FLAG_INBOUND);
	ghvm_put_u32(&w, 0);
	ghvm_put_u32(&w, length);
	write_out(f, &w);
}
