/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RPC framing between RM and its clients (abi C.1, C.2).
 *
 * Malformed packets are dropped silently. A client that does not read loses its older reply: RM keeps only the
 * newest one, in @pending.
 */
#include "tests/model/core/core.h"

#include <string.h>

#define HEADER_BYTE 0x21 /* version 1, two words */
#define TYPE_MASK GHVM_BITS(1, 0)
#define FRAGMENTS_MASK GHVM_BITS(7, 2)
#define NOTIFY_MEM_SHARED 0x51100011

void rpc_client_init(struct rpc_client *c, uint16_t vmid, struct queue *from, struct queue *to)
{
	c->used = true;
	c->vmid = vmid;
	c->from = from;
	c->to = to;
	c->in.busy = c->out.busy = c->pending.busy = false;
	c->first = c->count = 0;
}

struct rpc_client *rpc_client_find(struct model *m, uint16_t vmid)
{
	for (unsigned int i = 0; i < MODEL_CLIENTS; i++) {
		if (m->clients[i].used && m->clients[i].vmid == vmid)
			return &m->clients[i];
	}
	return NULL;
}

void rpc_client_drop(struct model *m, struct rpc_client *c)
{
	c->used = false;
	c->from->used = c->to->used = false;
}

static void trace(struct model *m, const struct rpc_client *c, char dir,
		  const struct rpc_message *msg)
{
	if (m->host.trace && c->vmid == MODEL_PRIMARY_VMID)
		m->host.trace(m->host.ctx, dir, msg->head.id, msg->head.seq, msg->buf, msg->len);
}

/* Return: false, not a packet of this protocol. */
static bool parse_header(struct ghvm_get *g, struct rpc_packet *ret)
{
	uint8_t version = ghvm_get_u8(g), kind = ghvm_get_u8(g);

	ret->type = (enum rpc_type)ghvm_bits_get(TYPE_MASK, kind);
	ret->fragments = (unsigned int)ghvm_bits_get(FRAGMENTS_MASK, kind);
	ret->seq = ghvm_get_u16(g);
	ret->id = ghvm_get_u32(g);
	return !g->bad && version == HEADER_BYTE && ret->fragments <= RPC_FRAGMENTS_MAX;
}

/* The first packet of a request; an incomplete earlier request is dropped. */
static void begin_message(struct model *m, struct rpc_client *c, const struct rpc_packet *head)
{
	uint64_t bytes = (head->fragments + 1ULL) * RPC_CONTENT;

	c->in.busy = false;
	if (head->fragments && !heap_fits_message(&m->heap, bytes)) {
		model_log(m, "rm: no heap for a message, dropped", head->id, bytes);
		return;
	}
	c->in.busy = true;
	c->in.head = *head;
	c->in.len = 0;
	c->left = head->fragments;
}

static void resume(struct rpc_client *c, const struct rpc_packet *p)
{
	const struct rpc_packet *h = &c->in.head;

	if (!c->in.busy)
		return;
	if (!c->left || p->seq != h->seq || p->id != h->id || p->fragments != h->fragments)
		c->in.busy = false;
	else
		c->left--;
}

static void receive(struct model *m, struct rpc_client *c, const uint8_t *buf, size_t len)
{
	struct ghvm_get g = { .buf = buf, .len = len };
	struct rpc_packet p;

	if (!parse_header(&g, &p))
		return;
	if (p.type == RPC_REQUEST)
		begin_message(m, c, &p);
	else if (p.type == RPC_CONTINUATION)
		resume(c, &p);
	else
		return;
	if (!c->in.busy)
		return;

	/* at most 63 packets, each at most RPC_CONTENT: it fits */
	memcpy(c->in.buf + c->in.len, g.buf, g.len);
	c->in.len += (uint32_t)g.len;
	if (c->left)
		return;
	c->in.busy = false;
	trace(m, c, '>', &c->in);
	rm_dispatch(m, c);
}

void rpc_service(struct model *m, struct rpc_client *c)
{
	uint8_t buf[MODEL_QUEUE_BYTES];
	size_t len;

	while (c->used && !m->rm_dead && !m->held && queue_get(m, c->from, buf, &len))
		receive(m, c, buf, len);
	if (c->used)
		rpc_pump(m, c);
}

/* Start to send the pending reply: swap the two buffers. */
static void take_pending(struct rpc_client *c)
{
	struct rpc_message old = c->out;

	c->out = c->pending;
	c->pending = old;
	c->pending.busy = false;
}

/* Start to send the oldest notification. Return: false, its parcel is gone. */
static bool take_notification(struct model *m, struct rpc_client *c)
{
	const struct rpc_notification *n = &c->fifo[c->first];
	struct ghvm_put w = { .buf = c->out.buf, .cap = RPC_MESSAGE_MAX };
	struct ghvm_get g = { .buf = n->payload, .len = n->len };

	c->first = (c->first + 1) % RPC_NOTIFICATIONS_MAX;
	c->count--;
	if (n->id == NOTIFY_MEM_SHARED)
		rm_put_mem_shared(m, ghvm_get_u32(&g), &w);
	else
		ghvm_put_bytes(&w, n->payload, n->len);
	if (w.bad || !w.len)
		return false;

	c->out.head = (struct rpc_packet){ .type = RPC_NOTIFICATION, .id = n->id };
	c->out.head.seq = m->seq++;
	c->out.len = (uint32_t)w.len;
	c->out.pos = 0;
	c->out.busy = true;
	trace(m, c, '!', &c->out);
	return true;
}

static bool take_next(struct model *m, struct rpc_client *c)
{
	if (c->pending.busy) {
		take_pending(c);
		return true;
	}
	while (c->count) {
		if (take_notification(m, c))
			return true;
	}
	return false;
}

static void send_packet(struct model *m, struct rpc_client *c)
{
	struct rpc_message *msg = &c->out;
	uint8_t buf[MODEL_QUEUE_BYTES];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	uint32_t left = msg->len - msg->pos, n = left < RPC_CONTENT ? left : RPC_CONTENT;
	unsigned int fragments = msg->len ? (msg->len - 1) / RPC_CONTENT : 0;
	enum rpc_type type = msg->pos ? RPC_CONTINUATION : msg->head.type;

	ghvm_put_u8(&w, HEADER_BYTE);
	ghvm_put_u8(&w, (uint8_t)(ghvm_bits_put(TYPE_MASK, type) |
				  ghvm_bits_put(FRAGMENTS_MASK, fragments)));
	ghvm_put_u16(&w, msg->head.seq);
	ghvm_put_u32(&w, msg->head.id);
	ghvm_put_bytes(&w, msg->buf + msg->pos, n);
	msg->pos += n;
	msg->busy = msg->pos < msg->len;
	(void)queue_put(m, c->to, buf, w.len, false); /* there was room */
}

void rpc_pump(struct model *m, struct rpc_client *c)
{
	while (!m->rm_dead && !queue_full(c->to)) {
		if (!c->out.busy && !take_next(m, c))
			return;
		send_packet(m, c);
	}
}

/* The payload is in @pending already, and replaces a reply that was not sent yet. */
void rpc_reply(struct model *m, struct rpc_client *c, const struct rpc_packet *to, size_t len)
{
	struct rpc_message *r = &c->pending;

	r->busy = true;
	r->head = (struct rpc_packet){ .type = RPC_REPLY, .seq = to->seq, .id = to->id };
	r->len = (uint32_t)len;
	r->pos = 0;
	trace(m, c, '<', r);
	rpc_pump(m, c);
}

/* If there are too many, the oldest is dropped. */
void rpc_notify(struct model *m, uint16_t vmid, uint32_t id, const void *payload, size_t len)
{
	struct rpc_client *c = rpc_client_find(m, vmid);
	struct rpc_notification *n;

	if (!c || m->rm_dead || len > RPC_NOTIFICATION_BYTES)
		return;
	if (c->count == RPC_NOTIFICATIONS_MAX) {
		c->first = (c->first + 1) % RPC_NOTIFICATIONS_MAX;
		c->count--;
	}
	n = &c->fifo[(c->first + c->count++) % RPC_NOTIFICATIONS_MAX];
	n->id = id;
	n->len = (uint32_t)len;
	memcpy(n->payload, payload, len);
	rpc_pump(m, c);
}
