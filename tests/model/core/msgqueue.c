/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Message queues (abi B.1 to B.4).
 *
 * As in the real hypervisor, a call with a buffer that is not mapped, or of the wrong size, returns OK, but
 * nothing is sent or received.
 */
#include "tests/model/core/core.h"

#include <string.h>

#define SEND_PUSH 1
#define CONFIGURE_KEEP UINT64_MAX      /* -1 */
#define CONFIGURE_MAX (UINT64_MAX - 1) /* -2 */

void queue_init(struct queue *q)
{
	memset(q, 0, sizeof(*q));
	q->used = true;
	q->slot = -1;
	q->not_full = MODEL_QUEUE_DEPTH - 1;
	q->not_empty = 1;
}

bool queue_full(const struct queue *q)
{
	return q->count == MODEL_QUEUE_DEPTH;
}

static void raise(struct model *m, const struct queue *q, uint32_t virq, uint16_t spi)
{
	if (virq)
		m->host.virq(m->host.ctx, virq);
	if (spi)
		m->host.guest_irq(m->host.ctx, (unsigned int)q->slot, spi - 1U, true, true);
}

static void stored(struct model *m, struct queue *q, size_t len, bool push)
{
	q->len[(q->head + q->count) % MODEL_QUEUE_DEPTH] = (uint16_t)len;
	q->count++;
	if (push || q->count == q->not_empty)
		raise(m, q, q->rx_virq, q->rx_spi);
}

static void taken(struct model *m, struct queue *q)
{
	q->head = (q->head + 1) % MODEL_QUEUE_DEPTH;
	q->count--;
	if (q->count == q->not_full)
		raise(m, q, q->tx_virq, q->tx_spi);
}

bool queue_put(struct model *m, struct queue *q, const uint8_t *buf, size_t len, bool push)
{
	if (queue_full(q))
		return false;
	memcpy(q->data[(q->head + q->count) % MODEL_QUEUE_DEPTH], buf, len);
	stored(m, q, len, push);
	return true;
}

bool queue_get(struct model *m, struct queue *q, uint8_t buf[MODEL_QUEUE_BYTES], size_t *ret_len)
{
	if (!q->count)
		return false;
	*ret_len = q->len[q->head];
	memcpy(buf, q->data[q->head], *ret_len);
	taken(m, q);
	return true;
}

/* RM at the other end of a queue, if it is there. */
static struct rpc_client *client_of(struct model *m, const struct queue *q)
{
	for (unsigned int i = 0; i < MODEL_CLIENTS; i++) {
		struct rpc_client *c = &m->clients[i];

		if (c->used && (c->from == q || c->to == q))
			return c;
	}
	return NULL;
}

static bool find_queue(struct model *m, int space, uint32_t right, uint64_t x[8],
		       struct queue **ret)
{
	const struct cap *cap;

	x[0] = (uint64_t)cspace_find(m, space, x[1], CAP_MSGQUEUE, right, &cap);
	if (x[0] != HYP_OK)
		return false;
	*ret = &m->queues[cap->index];
	return true;
}

/* x: queue, size, address, flags; out: not_full */
void hyp_msgqueue_send(struct model *m, int space, uint64_t x[8])
{
	struct queue *q;
	struct rpc_client *c;
	uint8_t *to;

	if (!find_queue(m, space, RIGHT_SEND, x, &q))
		return;
	if (!x[2] && !m->config.production)
		m->host.panic(m->host.ctx, "msgqueue_send of size 0 (abi B.2)");
	if (queue_full(q)) {
		x[0] = HYP_MSGQUEUE_FULL;
		x[1] = 0;
		return;
	}

	to = q->data[(q->head + q->count) % MODEL_QUEUE_DEPTH];
	x[1] = 1;
	if (x[2] > MODEL_QUEUE_BYTES || m->host.copy_in(m->host.ctx, to, x[3], x[2]) < 0)
		return; /* lost without an error */
	stored(m, q, x[2], x[4] & SEND_PUSH);
	x[1] = !queue_full(q);

	c = client_of(m, q);
	if (c)
		rpc_service(m, c);
}

/* x: queue, address, room; out: size, not_empty */
void hyp_msgqueue_receive(struct model *m, int space, uint64_t x[8])
{
	struct rpc_client *c;
	struct queue *q;
	uint16_t len;

	if (!find_queue(m, space, RIGHT_RECEIVE, x, &q))
		return;
	if (!q->count) {
		x[0] = HYP_MSGQUEUE_EMPTY;
		x[1] = x[2] = 0;
		return;
	}

	len = q->len[q->head];
	if (x[3] < len || m->host.copy_out(m->host.ctx, x[2], q->data[q->head], len) < 0) {
		x[1] = 0;
		x[2] = 1;
		return; /* still queued */
	}
	taken(m, q);
	x[1] = len;
	x[2] = q->count != 0;

	c = client_of(m, q);
	if (c)
		rpc_pump(m, c);
}

void hyp_msgqueue_flush(struct model *m, int space, uint64_t x[8])
{
	struct rpc_client *c;
	struct queue *q;

	if (!find_queue(m, space, RIGHT_RECEIVE, x, &q))
		return;
	q->count = 0;
	raise(m, q, q->tx_virq, q->tx_spi);
	c = client_of(m, q);
	if (c)
		rpc_pump(m, c);
}

/* x: queue, threshold, hold-off (-1) */
void hyp_msgqueue_configure(struct model *m, int space, bool send, uint64_t x[8])
{
	unsigned int *threshold;
	struct queue *q;

	if (!find_queue(m, space, send ? RIGHT_SEND : RIGHT_RECEIVE, x, &q))
		return;
	threshold = send ? &q->not_full : &q->not_empty;
	if (x[3] != CONFIGURE_KEEP) {
		x[0] = (uint64_t)HYP_UNIMPLEMENTED;
	} else if (x[2] == CONFIGURE_MAX) {
		*threshold = send ? MODEL_QUEUE_DEPTH - 1 : MODEL_QUEUE_DEPTH;
	} else if (x[2] != CONFIGURE_KEEP) {
		if (x[2] > MODEL_QUEUE_DEPTH || (!send && !x[2]) ||
		    (send && x[2] == MODEL_QUEUE_DEPTH))
			x[0] = HYP_ARGUMENT_INVALID;
		else
			*threshold = (unsigned int)x[2];
	}
}
