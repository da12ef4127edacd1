/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's memory messages, abi C.6 and C.7. RM answers within the hypercall that sends.
 */
#include "tests/model/guest-mem.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/wire.h"

#include <string.h>

#define CALL_SEND 0x1b
#define CALL_RECEIVE 0x1c
#define PACKET_MAX 240
#define HEADER_BYTE 0x21
#define TYPE_REQUEST 1
#define TYPE_REPLY 2
#define TYPE_NOTIFICATION 3
#define PUSH 1

#define MEM_ACCEPT 0x51000011
#define MEM_RELEASE 0x51000014
#define MEM_NOTIFY 0x51000017
#define VM_SET_CRASH_MSG 0x56000086
#define MEM_SHARED 0x51100011
#define MEM_RECALL 0x51100014
#define TRANS_SHARE 2
#define ACCEPT_CONTIGUOUS 16
#define ACCEPT_DONE 128
#define NOTIFY_RELEASED 2
#define NOTIFY_ACCEPTED 4

bool guest_mem_init(struct guest_mem *g, struct model *m, unsigned int slot)
{
	*g = (struct guest_mem){ .m = m, .slot = slot };
	return model_guest_link(m, slot, &g->link);
}

/* receiving */

static struct guest_mem_region *find_by_handle(struct guest_mem *g, uint32_t handle)
{
	for (size_t i = 0; i < GUEST_MEM_REGIONS_MAX; i++)
		if (g->regions[i].used && g->regions[i].handle == handle)
			return &g->regions[i];
	return NULL;
}

/* An entry for a new region: a free one, or one neither offered nor accepted. */
static struct guest_mem_region *find_unused(struct guest_mem *g)
{
	for (size_t i = 0; i < GUEST_MEM_REGIONS_MAX; i++)
		if (!g->regions[i].used || (!g->regions[i].offered && !g->regions[i].accepted))
			return &g->regions[i];
	return NULL;
}

/*
 * u32 handle, u8 type, u8 trans, u8 flags, u8 0, u16 owner, u16 0, u32 label, u32 tag,
 * u16 n, u16 0, acl, u16 n, u16 0, n * u64 size, u16 n, u16 0, attr
 */
static void on_shared(struct guest_mem *g, struct ghvm_get *in)
{
	const uint32_t handle = ghvm_get_u32(in);
	struct guest_mem_region *r = find_by_handle(g, handle), new = { .used = true };
	unsigned int n;

	new.handle = handle;
	ghvm_get_skip(in, 8);
	new.label = ghvm_get_u32(in);
	new.tag = ghvm_get_u32(in);
	new.ipa = new.tag *(uint64_t)GHVM_PAGE;
	n = ghvm_get_u16(in);
	ghvm_get_skip(in, 2 + 4 * (size_t)n);
	n = ghvm_get_u16(in);
	ghvm_get_skip(in, 2);
	for (unsigned int i = 0; i < n && !in->bad; i++)
		new.size += ghvm_get_u64(in);
	if (in->bad)
		return;
	g->shared++;
	if (r) { /* announced again: cancels a recall */
		r->offered = !r->accepted;
		r->recalled = false;
		return;
	}
	new.offered = true;
	r = find_unused(g);
	if (r)
		*r = new;
}

/* u32 handle, u32 tag */
static void on_recall(struct guest_mem *g, struct ghvm_get *in)
{
	struct guest_mem_region *r = find_by_handle(g, ghvm_get_u32(in));

	g->recalls++;
	if (r) {
		r->recalled = true;
		r->offered = false;
	}
}

static void on_message(struct guest_mem *g)
{
	struct ghvm_get in = { .buf = g->buf, .len = g->len };

	if (g->type == TYPE_REPLY) {
		g->status = ghvm_get_u32(&in);
		g->replied = !in.bad;
	} else if (g->type == TYPE_NOTIFICATION && g->id == MEM_SHARED) {
		on_shared(g, &in);
	} else if (g->type == TYPE_NOTIFICATION && g->id == MEM_RECALL) {
		on_recall(g, &in);
	}
}

/* u8 0x21, u8 fragments and type, u16 seq, u32 id */
static void on_packet(struct guest_mem *g, const uint8_t *packet, size_t len)
{
	struct ghvm_get in = { .buf = packet, .len = len };
	unsigned int kind;

	ghvm_get_skip(&in, 1);
	kind = ghvm_get_u8(&in);
	if (kind & 3) {
		g->type = kind & 3;
		g->left = kind >> 2;
		g->len = 0;
		ghvm_get_skip(&in, 2);
		g->id = ghvm_get_u32(&in);
	} else {
		ghvm_get_skip(&in, 6);
		g->left--;
	}
	if (in.bad || in.len > sizeof(g->buf) - g->len)
		return;
	memcpy(g->buf + g->len, in.buf, in.len);
	g->len += in.len;
	if (!g->left)
		on_message(g);
}

void guest_mem_poll(struct guest_mem *g)
{
	uint8_t packet[PACKET_MAX];

	for (;;) {
		uint64_t x[8] = { 0, g->link.rx, (uintptr_t)packet, sizeof(packet) };

		model_guest_hypercall(g->m, g->slot, CALL_RECEIVE, x);
		if (x[0] != 0)
			return;
		on_packet(g, packet, x[1]);
	}
}

/* sending */

static struct ghvm_put begin_request(struct guest_mem *g, uint8_t *buf, uint32_t id)
{
	struct ghvm_put w = { .buf = buf, .cap = PACKET_MAX };

	ghvm_put_u8(&w, HEADER_BYTE);
	ghvm_put_u8(&w, TYPE_REQUEST);
	ghvm_put_u16(&w, ++g->seq);
	ghvm_put_u32(&w, id);
	return w;
}

static uint32_t send_request(struct guest_mem *g, const struct ghvm_put *w)
{
	uint64_t x[8] = { 0, g->link.tx, w->len, (uintptr_t)w->buf, PUSH };

	g->replied = false;
	model_guest_hypercall(g->m, g->slot, CALL_SEND, x);
	if (x[0] == 0)
		guest_mem_poll(g);
	return g->replied ? g->status : GUEST_MEM_SILENCE;
}

/* u32 handle, u8 type, u8 trans, u8 flags, u8 0, u32 label, lists: acl, sgl, attr */
uint32_t guest_mem_accept(struct guest_mem *g, struct guest_mem_region *r)
{
	uint8_t buf[PACKET_MAX];
	struct ghvm_put w = begin_request(g, buf, MEM_ACCEPT);
	uint32_t status;

	ghvm_put_u32(&w, r->handle);
	ghvm_put_u8(&w, 0);
	ghvm_put_u8(&w, TRANS_SHARE);
	ghvm_put_u8(&w, ACCEPT_CONTIGUOUS | ACCEPT_DONE);
	ghvm_put_zero(&w, 1);
	ghvm_put_u32(&w, r->label);
	ghvm_put_zero(&w, 4);
	ghvm_put_u16(&w, 1);
	ghvm_put_zero(&w, 2);
	ghvm_put_u64(&w, r->ipa);
	ghvm_put_u64(&w, r->size);
	ghvm_put_zero(&w, 4);
	status = send_request(g, &w);
	r->offered = false;
	r->accepted = status == 0;
	return status;
}

/* u32 handle, u8 flags, u8[3] 0 */
uint32_t guest_mem_release(struct guest_mem *g, struct guest_mem_region *r)
{
	uint8_t buf[PACKET_MAX];
	struct ghvm_put w = begin_request(g, buf, MEM_RELEASE);
	uint32_t status;

	ghvm_put_u32(&w, r->handle);
	ghvm_put_zero(&w, 4);
	status = send_request(g, &w);
	if (status == 0)
		r->accepted = r->recalled = false;
	return status;
}

/* u32 handle, u8 what, u8[3] 0, u32 tag */
uint32_t guest_mem_say(struct guest_mem *g, const struct guest_mem_region *r, bool accepted)
{
	uint8_t buf[PACKET_MAX];
	struct ghvm_put w = begin_request(g, buf, MEM_NOTIFY);

	ghvm_put_u32(&w, r->handle);
	ghvm_put_u8(&w, accepted ? NOTIFY_ACCEPTED : NOTIFY_RELEASED);
	ghvm_put_zero(&w, 3);
	ghvm_put_u32(&w, r->tag);
	return send_request(g, &w);
}

/* u16 size, u16 0, bytes, padded to 4 */
uint32_t guest_mem_set_crash(struct guest_mem *g, const char *text, size_t n)
{
	uint8_t buf[PACKET_MAX];
	struct ghvm_put w = begin_request(g, buf, VM_SET_CRASH_MSG);

	ghvm_put_u16(&w, (uint16_t)n);
	ghvm_put_zero(&w, 2);
	ghvm_put_bytes(&w, text, n);
	ghvm_put_zero(&w, (4 - n % 4) % 4);
	return send_request(g, &w);
}

void guest_mem_serve(struct guest_mem *g, bool keeps, bool silent)
{
	guest_mem_poll(g);
	for (size_t i = 0; i < GUEST_MEM_REGIONS_MAX; i++) {
		struct guest_mem_region *r = &g->regions[i];

		if (!r->used)
			continue;
		/* the owner may ignore it */
		if (r->offered && guest_mem_accept(g, r) == 0 && !silent)
			(void)guest_mem_say(g, r, true);
		if (r->recalled && r->accepted && !keeps && guest_mem_release(g, r) == 0 && !silent)
			(void)guest_mem_say(g, r, false);
	}
}

struct guest_mem_region *guest_mem_find(struct guest_mem *g, int64_t label, bool recalled)
{
	struct guest_mem_region *found = NULL;

	for (size_t i = 0; i < GUEST_MEM_REGIONS_MAX; i++) {
		struct guest_mem_region *r = &g->regions[i];

		if (!r->used || (label >= 0 && r->label != (uint64_t)label) ||
		    !(recalled ? r->accepted && r->recalled : r->offered))
			continue;
		if (!found || (int32_t)(r->handle - found->handle) > 0)
			found = r;
	}
	return found;
}
