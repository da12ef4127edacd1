/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The resource manager's messages to a guest: joins packets to messages, and decodes what they say about memory.
 *
 * All of it comes from outside, so each length, count and sum is checked. The decoder needs no kernel: tests/fuzz
 * and tests/kmod compile it in user space as well.
 */
#ifndef _REGION_MSG_H
#define _REGION_MSG_H

#include <linux/errno.h>
#include <linux/types.h>

#define REGION_PACKET_MAX 240
#define REGION_HEADER 8
#define REGION_HEADER_BYTE 0x21 /* version 1, a header of two words */
#define REGION_MSG_MAX (63 * (REGION_PACKET_MAX - REGION_HEADER))
#define REGION_PAGE 4096ULL

enum region_msg_type {
	REGION_MSG_CONTINUATION,
	REGION_MSG_REQUEST,
	REGION_MSG_REPLY,
	REGION_MSG_NOTIFICATION,
};

/**
 * struct region_msg - a message that arrives packet by packet
 * @type: Of its first packet
 * @fragments: Number of packets that follow the first
 * @left: How many of them are missing; 0: complete, or none was begun
 * @seq: Sequence number
 * @id: What it is about
 * @len: Bytes of @buf in use
 * @buf: The payload
 */
struct region_msg {
	u8 type;
	u8 fragments;
	u8 left;
	u16 seq;
	u32 id;
	size_t len;
	u8 buf[REGION_MSG_MAX];
};

/**
 * struct region_offer - memory that the guest may accept
 * @handle: The resource manager's name of it
 * @label: The host's
 * @tag: Which the host has sent with it: the number of its first page
 * @ipa: That page's address
 * @size: In bytes, a multiple of REGION_PAGE
 * @readonly: The guest may not write
 */
struct region_offer {
	u32 handle;
	u32 label;
	u32 tag;
	u64 ipa;
	u64 size;
	bool readonly;
};

/* Reads little-endian numbers. The first one past the end marks it bad, and it stays bad. */
struct region_get {
	const u8 *at;
	size_t len;
	bool bad;
};

static inline u64 region_get(struct region_get *g, unsigned int bytes)
{
	u64 v = 0;
	unsigned int i;

	if (g->bad || bytes > g->len) {
		g->bad = true;
		return 0;
	}
	for (i = 0; i < bytes; i++)
		v |= (u64)g->at[i] << (8 * i);
	g->at += bytes;
	g->len -= bytes;
	return v;
}

static inline void region_put(u8 **at, u64 v, unsigned int bytes)
{
	for (; bytes; bytes--, v >>= 8)
		*(*at)++ = (u8)v;
}

static inline bool region_msg_begins(struct region_msg *m, struct region_get *g)
{
	u8 kind = region_get(g, 1);
	u16 seq = region_get(g, 2);
	u32 id = region_get(g, 4);

	if (kind & 3) {
		m->type = kind & 3;
		m->fragments = kind >> 2;
		m->left = m->fragments;
		m->seq = seq;
		m->id = id;
		m->len = 0;
		return m->fragments <= 62;
	}
	if (!m->left || kind >> 2 != m->fragments || seq != m->seq || id != m->id)
		return false;
	m->left--;
	return true;
}

/**
 * region_msg_add() - take one packet
 * @m: Filled with zeroes before the first call
 * @packet: Its bytes
 * @len: Their number
 *
 * Return: 1 if @m is a whole message now; 0 if more packets have to follow; -EPROTO for a packet that does not
 * fit, which drops what was there of a message.
 */
static inline int region_msg_add(struct region_msg *m, const u8 *packet, size_t len)
{
	struct region_get g = { .at = packet, .len = len };
	size_t i;

	if (len > REGION_PACKET_MAX || region_get(&g, 1) != REGION_HEADER_BYTE ||
	    len < REGION_HEADER || !region_msg_begins(m, &g) || g.len > sizeof(m->buf) - m->len) {
		m->left = 0;
		m->len = 0;
		return -EPROTO;
	}
	for (i = 0; i < g.len; i++)
		m->buf[m->len + i] = g.at[i];
	m->len += g.len;
	return !m->left;
}

/* u16 n, u16 0, n * { u16 vmid, u8 rights, u8 0 }: this VM's rights; 0: none */
static inline unsigned int region_get_rights(struct region_get *g, u16 vmid)
{
	unsigned int n = region_get(g, 2), rights = 0;

	region_get(g, 2);
	for (; n && !g->bad; n--) {
		u16 vm = region_get(g, 2);
		unsigned int r = region_get(g, 1);

		region_get(g, 1);
		if (vm == vmid)
			rights = r;
	}
	return rights;
}

/* u16 n, u16 0, n * u64 size: the sum; 0 if one of them is no whole number of pages, or the sum is too large */
static inline u64 region_get_sizes(struct region_get *g)
{
	unsigned int n = region_get(g, 2);
	u64 sum = 0;

	region_get(g, 2);
	for (; n && !g->bad; n--) {
		u64 size = region_get(g, 8);

		if (!size || size % REGION_PAGE || size > (1ULL << 48) - sum)
			g->bad = true;
		sum += size;
	}
	return sum;
}

/**
 * region_offer_decode() - the payload of MEM_SHARED
 * @buf: The payload
 * @len: Its length
 * @vmid: Of this VM
 * @ret: Set on success
 *
 * Return: 0; -EPROTO: malformed; -EOPNOTSUPP: it is not shared normal memory; -EACCES: this VM may not read it;
 * -ERANGE: it ends outside of the address space.
 */
static inline int region_offer_decode(const u8 *buf, size_t len, u16 vmid, struct region_offer *ret)
{
	struct region_get g = { .at = buf, .len = len };
	struct region_offer o = { .handle = region_get(&g, 4) };
	unsigned int mem_type = region_get(&g, 1), trans = region_get(&g, 1), rights;
	u64 n_attr;

	region_get(&g, 6); /* sanitised, and the owner */
	o.label = region_get(&g, 4);
	o.tag = region_get(&g, 4);
	rights = region_get_rights(&g, vmid);
	o.size = region_get_sizes(&g);
	n_attr = region_get(&g, 2);
	region_get(&g, 2);
	if (g.bad || g.len != 4 * n_attr)
		return -EPROTO;
	if (mem_type != 0 || trans != 2)
		return -EOPNOTSUPP;
	if (!(rights & 4))
		return -EACCES;
	o.readonly = !(rights & 2);
	o.ipa = o.tag * REGION_PAGE;
	if (!o.size || !o.ipa || o.size > (1ULL << 48) - o.ipa)
		return -ERANGE;
	*ret = o;
	return 0;
}

/* u32 handle, u32 tag: of MEM_RECALL. Return: 0 or -EPROTO. */
static inline int region_recall_decode(const u8 *buf, size_t len, u32 *ret_handle)
{
	struct region_get g = { .at = buf, .len = len };
	u32 handle = region_get(&g, 4);

	region_get(&g, 4);
	if (g.bad || g.len)
		return -EPROTO;
	*ret_handle = handle;
	return 0;
}

/* u32 status, and then what depends on the request. Return: 0 or -EPROTO. */
static inline int region_reply_decode(const u8 *buf, size_t len, u32 *ret_status)
{
	struct region_get g = { .at = buf, .len = len };
	u32 status = region_get(&g, 4);

	if (g.bad)
		return -EPROTO;
	*ret_status = status;
	return 0;
}

#endif
