/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RM: dispatch of requests to their handlers, the death of RM, and knobs for tests.
 *
 * When RM is dead the primary and its guests go on, but no RPC is answered.
 */
#include "tests/model/core/core.h"

#include <string.h>

#define STATUS_BYTES 4

void rm_die(struct model *m, const char *why)
{
	m->rm_dead = true;
	m->host.log(m->host.ctx, "rm: DEAD, no request will be answered any more:");
	m->host.log(m->host.ctx, why);
}

static const struct rm_message *find_in(const struct rm_message *v, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].id == id)
			return &v[i];
	}
	return NULL;
}

/* Messages of which only the length is checked. */
static enum rm_status refuse(struct rm_call *c)
{
	return RM_DENIED;
}

static const struct rm_message demand_paging = { 0x56000033, refuse, 8, true };

/* Messages that only later resource managers know. */
static const struct rm_message *find_later(const struct model *m, uint32_t id)
{
	if (m->config.boot_context && id == rm_boot_context.id)
		return &rm_boot_context;
	if (m->config.address_layout && id == rm_address_layout.id)
		return &rm_address_layout;
	return m->config.address_layout && id == demand_paging.id ? &demand_paging : NULL;
}

static const struct rm_message *find_handler(const struct model *m, uint32_t id)
{
	const struct rm_message *r = find_in(rm_vm_messages, rm_vm_n_messages, id);

	if (!r)
		r = find_in(rm_query_messages, rm_query_n_messages, id);
	if (!r && id == rm_firmware_mem.id)
		r = &rm_firmware_mem;
	if (!r)
		r = find_in(rm_mem_messages, rm_mem_n_messages, id);
	return r ? r : find_later(m, id);
}

bool rm_knob_acts(struct rm_knob *k, uint32_t id)
{
	if (!k->armed || (k->message && k->message != id))
		return false;
	if (k->skip) {
		k->skip--;
		return false;
	}
	k->armed = false;
	return true;
}

static enum rm_status handle_request(struct rm_call *c)
{
	const struct rm_message *msg = find_handler(c->m, c->id);

	if (!msg)
		return RM_UNIMPLEMENTED;
	if (msg->at_least ? c->len < msg->len : c->len != msg->len)
		return RM_MSG_INVALID;
	return msg->handle(c);
}

static void overwrite(const struct rm_knob *k, uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < k->len && k->offset + i < len; i++)
		buf[k->offset + i] = k->bytes[i];
}

/* Put the status word before the payload that the handler wrote. */
static size_t finish_reply(struct rm_call *c, enum rm_status status)
{
	struct ghvm_put w = { .buf = c->client->pending.buf, .cap = STATUS_BYTES };
	struct rm_knob *k = &c->m->reply;

	if (rm_knob_acts(k, c->id)) {
		memcpy(c->client->pending.buf, k->bytes, k->len);
		return k->len;
	}
	if (c->out.bad) {
		model_log(c->m, "rm: reply too long", c->id, c->out.len);
		status = RM_NOMEM;
		c->out.len = 0;
	}
	ghvm_put_u32(&w, (uint32_t)status);
	if (rm_knob_acts(&c->m->lie, c->id))
		overwrite(&c->m->lie, c->client->pending.buf, STATUS_BYTES + c->out.len);
	return STATUS_BYTES + c->out.len;
}

void rm_dispatch(struct model *m, struct rpc_client *client)
{
	const struct rpc_packet head = client->in.head;
	struct rm_call c = { .m = m, .client = client, .id = head.id, .caller = client->vmid };
	enum rm_status status;
	size_t len;

	c.in = (struct ghvm_get){ .buf = client->in.buf, .len = client->in.len };
	c.len = client->in.len;
	c.out.buf = client->pending.buf + STATUS_BYTES;
	c.out.cap = RPC_MESSAGE_MAX - STATUS_BYTES;
	client->pending.busy = false; /* its buffer is reused */

	if (rm_knob_acts(&m->drop, c.id))
		return;
	status = rm_knob_acts(&m->refuse, c.id) ? (enum rm_status)m->refuse.status
						: handle_request(&c);
	if (c.silent || m->rm_dead)
		return;
	len = finish_reply(&c, status);
	if (!rm_knob_acts(&m->mute, c.id))
		rpc_reply(m, client, &head, len);
}

void model_kill_rm(struct model *m)
{
	if (!m->rm_dead)
		rm_die(m, "rm: killed by a test");
}

static void arm(struct rm_knob *k, uint32_t message, unsigned int skip)
{
	memset(k, 0, sizeof(*k));
	k->armed = true;
	k->message = message;
	k->skip = skip;
}

void model_refuse(struct model *m, uint32_t message, uint32_t status, unsigned int skip)
{
	arm(&m->refuse, message, skip);
	m->refuse.status = status;
}

void model_drop(struct model *m, uint32_t message, unsigned int skip)
{
	arm(&m->drop, message, skip);
}

void model_mute(struct model *m, uint32_t message, unsigned int skip)
{
	arm(&m->mute, message, skip);
}

void model_drop_end(struct model *m, unsigned int skip)
{
	arm(&m->drop_end, 0, skip);
}

void model_reply(struct model *m, uint32_t message, const uint8_t *bytes, size_t n,
		 unsigned int skip)
{
	arm(&m->reply, message, skip);
	m->reply.len = n < sizeof(m->reply.bytes) ? n : sizeof(m->reply.bytes);
	memcpy(m->reply.bytes, bytes, m->reply.len);
}

void model_lie(struct model *m, uint32_t message, size_t offset, const uint8_t *bytes, size_t n,
	       unsigned int skip)
{
	arm(&m->lie, message, skip);
	m->lie.offset = offset;
	m->lie.len = n < sizeof(m->lie.bytes) ? n : sizeof(m->lie.bytes);
	memcpy(m->lie.bytes, bytes, m->lie.len);
}

bool model_lie_waits(const struct model *m)
{
	return m->drop.armed || m->refuse.armed || m->mute.armed || m->reply.armed || m->lie.armed;
}

void model_learn(struct model *m, bool boot_context, bool address_layout)
{
	m->config.boot_context = boot_context;
	m->config.address_layout = address_layout;
}

void model_hold_rm(struct model *m, bool hold)
{
	m->held = hold;
	for (unsigned int i = 0; !hold && i < MODEL_CLIENTS; i++) {
		if (m->clients[i].used)
			rpc_service(m, &m->clients[i]);
	}
}
