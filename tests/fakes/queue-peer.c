/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/queue-peer.h"

#include "libghvm/hyp/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define CALL_SEND 0x1b
#define CALL_RECEIVE 0x1c
#define STATUS_EMPTY 60
#define STATUS_FULL 61
#define GET_VMID 0x56000024U

static struct script_host *of(struct ghvm_host *h)
{
	return (struct script_host *)h;
}

size_t script_packet(uint8_t *ret, unsigned int type, unsigned int fragments, uint16_t seq,
		     uint32_t id, const void *content, size_t len)
{
	ret[0] = 0x21;
	ret[1] = (uint8_t)(type | fragments << 2);
	ret[2] = seq & 0xff;
	ret[3] = (uint8_t)(seq >> 8);
	for (int i = 0; i < 4; i++)
		ret[4 + i] = (uint8_t)(id >> 8 * i);
	if (len)
		memcpy(ret + 8, content, len);
	return 8 + len;
}

/* ---- towards the client ---- */

static void signal_rx(struct script_host *s)
{
	if (s->rx_event >= 0)
		(void)eventfd_write(s->rx_event, 1);
}

static void push_locked(struct script_host *s, const void *packet, size_t len)
{
	struct script_packet **end = &s->queue;
	struct script_packet *p = malloc(sizeof(*p) + len);

	p->next = NULL;
	p->len = len;
	memcpy(p->bytes, packet, len);
	while (*end)
		end = &(*end)->next;
	*end = p;
	if (s->queue == p)
		signal_rx(s); /* an edge, as the real queue's threshold of 1 gives */
}

void script_push_raw(struct script_host *s, const void *packet, size_t len)
{
	pthread_mutex_lock(&s->lock);
	push_locked(s, packet, len);
	pthread_mutex_unlock(&s->lock);
}

static void push_message(struct script_host *s, unsigned int type, uint32_t id, uint16_t seq,
			 const uint8_t *payload, size_t len)
{
	unsigned int n = len ? (unsigned int)((len + 231) / 232) : 1;
	uint8_t packet[240];
	size_t part, size;

	for (unsigned int i = 0; i < n; i++) {
		part = len - i * 232 < 232 ? len - i * 232 : 232;
		size = script_packet(packet, i ? 0 : type, n - 1, seq, id, payload + i * 232, part);
		push_locked(s, packet, size);
	}
}

void script_push_reply(struct script_host *s, uint32_t id, uint16_t seq, const void *payload,
		       size_t len)
{
	pthread_mutex_lock(&s->lock);
	push_message(s, 2, id, seq, payload, len);
	pthread_mutex_unlock(&s->lock);
}

void script_push_notification(struct script_host *s, uint32_t id, uint16_t seq, const void *payload,
			      size_t len)
{
	pthread_mutex_lock(&s->lock);
	push_message(s, 3, id, seq, payload, len);
	pthread_mutex_unlock(&s->lock);
}

static void play_receive(struct script_host *s, struct ghvm_hcall *c)
{
	struct script_packet *p = s->queue;

	if (s->receive_status || s->receive_size) {
		c->results[0] = (uint32_t)s->receive_status;
		c->results[1] = s->receive_size == UINT64_MAX ? 0 : s->receive_size;
		c->results[2] = 1;
		s->receive_status = 0;
		s->receive_size = 0;
		return;
	}
	if (!p) {
		c->results[0] = STATUS_EMPTY;
		return;
	}
	memcpy((void *)(uintptr_t)c->args[1], p->bytes, p->len);
	c->results[0] = 0;
	c->results[1] = p->len;
	s->queue = p->next;
	c->results[2] = s->queue != NULL;
	free(p);
}

/* ---- from the client ---- */

void script_answer(struct script_host *s, uint32_t id, int64_t status, const void *payload,
		   size_t len)
{
	struct script_rule **end = &s->rules;
	size_t word = status < 0 ? 0 : 4;
	struct script_rule *r = malloc(sizeof(*r) + word + len);

	r->next = NULL;
	r->id = id;
	r->len = word + len;
	for (size_t i = 0; i < word; i++)
		r->payload[i] = (uint8_t)(status >> 8 * i);
	if (len)
		memcpy(r->payload + word, payload, len);
	pthread_mutex_lock(&s->lock);
	while (*end)
		end = &(*end)->next;
	*end = r;
	pthread_mutex_unlock(&s->lock);
}

static void answer(struct script_host *s, const struct script_request *r)
{
	static const uint8_t who[8] = { 0, 0, 0, 0, SCRIPT_VMID };
	struct script_rule **p = &s->rules;
	struct script_rule *rule;

	while (*p && (*p)->id != r->id)
		p = &(*p)->next;
	rule = *p;
	if (rule) {
		push_message(s, 2, r->id, r->seq, rule->payload, rule->len);
		*p = rule->next;
		free(rule);
	} else if (r->id == GET_VMID) {
		push_message(s, 2, r->id, r->seq, who, sizeof(who));
	}
}

/* The request that this packet completes, or NULL. */
static struct script_request *take_packet(struct script_host *s, const uint8_t *packet, size_t len)
{
	struct script_request *r = s->partial;

	if ((packet[1] & 3) == 1) {
		free(r);
		r = s->partial = calloc(1, sizeof(*r));
		r->seq = (uint16_t)(packet[2] | packet[3] << 8);
		r->id = packet[4] | (uint32_t)packet[5] << 8 | (uint32_t)packet[6] << 16 |
			(uint32_t)packet[7] << 24;
	}
	if (!r)
		return NULL;
	memcpy(r->payload + r->len, packet + 8, len - 8);
	r->len += len - 8;
	r->packets++;
	if (r->packets <= (unsigned int)packet[1] >> 2)
		return NULL;
	s->partial = NULL;
	s->requests = realloc(s->requests, (s->n_requests + 1) * sizeof(*s->requests));
	s->requests[s->n_requests++] = r;
	return r;
}

static struct script_request *play_send(struct script_host *s, struct ghvm_hcall *c)
{
	if (s->full) {
		s->full--;
		c->results[0] = STATUS_FULL;
		return NULL;
	}
	if (s->send_status && !s->send_skip) {
		c->results[0] = (uint32_t)s->send_status;
		return NULL;
	}
	if (s->send_skip)
		s->send_skip--;
	c->results[0] = 0;
	c->results[1] = 1;
	s->sends++;
	s->pushes += c->args[3] & 1;
	return take_packet(s, (const void *)(uintptr_t)c->args[2], (size_t)c->args[1]);
}

static int script_send(struct script_host *s, struct ghvm_hcall *c)
{
	struct script_request *r;
	int error = 0;
	bool mine;

	pthread_mutex_lock(&s->lock);
	if (s->send_errno && !s->send_skip) {
		error = s->send_errno;
		if (s->send_once)
			s->send_errno = 0;
	}
	r = error && !s->send_lies ? NULL : play_send(s, c);
	pthread_mutex_unlock(&s->lock);
	if (!r)
		return error;

	mine = s->on_request && s->on_request(s->data, s, r);
	if (!mine) {
		pthread_mutex_lock(&s->lock);
		answer(s, r);
		pthread_mutex_unlock(&s->lock);
	}
	return error;
}

static int script_hcall(struct ghvm_host *h, struct ghvm_hcall *c)
{
	struct script_host *s = of(h);
	int r = 0;

	if (c->call == CALL_SEND && c->args[0] == SCRIPT_TX_CAP)
		return script_send(s, c);

	pthread_mutex_lock(&s->lock);
	if (c->call == CALL_RECEIVE && c->args[0] == SCRIPT_RX_CAP) {
		r = s->receive_errno;
		if (!s->receive_failures)
			s->receive_errno = 0;
		else
			s->receive_failures--;
		if (r == 0)
			play_receive(s, c);
	} else {
		s->last = *c;
		r = s->hcall_errno;
		if (r == 0)
			memcpy(c->results, s->hcall.results, sizeof(c->results));
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* ---- the rest ---- */

static int script_info(struct ghvm_host *h, struct ghvm_info *ret)
{
	*ret = of(h)->info;
	return 0;
}

static int script_irq(struct ghvm_host *h, uint32_t kind, uint32_t virq, int eventfd)
{
	struct script_host *s = of(h);

	if (s->irq_errno && eventfd >= 0)
		return s->irq_errno;
	pthread_mutex_lock(&s->lock);
	if (kind == GHVM_IRQ_RM_RX)
		s->rx_event = eventfd;
	else if (kind == GHVM_IRQ_RM_TX)
		s->tx_event = eventfd;
	if (eventfd >= 0)
		(void)eventfd_write(eventfd, 1); /* as the module does at a bind */
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static const struct ghvm_host_ops script_ops = {
	.info = script_info,
	.hcall = script_hcall,
	.irq = script_irq,
};

struct script_host *script_host_new(void)
{
	struct script_host *s = calloc(1, sizeof(*s));

	s->host.ops = &script_ops;
	s->rx_event = -1;
	s->tx_event = -1;
	s->info = (struct ghvm_info){
		.size = sizeof(s->info),
		.flags = GHVM_INFO_RM_TX_VIRQ | GHVM_INFO_RM_RX_VIRQ,
		.abi = GHVM_ABI_LEVEL,
		.page_size = 4096,
		.rm_tx_capid = SCRIPT_TX_CAP,
		.rm_rx_capid = SCRIPT_RX_CAP,
	};
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void script_host_free(struct script_host *s)
{
	struct script_packet *p;
	struct script_rule *r;

	if (!s)
		return;
	while ((p = s->queue)) {
		s->queue = p->next;
		free(p);
	}
	while ((r = s->rules)) {
		s->rules = r->next;
		free(r);
	}
	for (size_t i = 0; i < s->n_requests; i++)
		free(s->requests[i]);
	free(s->requests);
	free(s->partial);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void script_host_freep(struct script_host **s)
{
	script_host_free(*s);
}

const struct script_request *script_last(const struct script_host *s)
{
	return s->n_requests ? s->requests[s->n_requests - 1] : NULL;
}
