// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's connection to the resource manager: two message queues, and one request at a time.
 */
#include <linux/arm-smccc.h>
#include <linux/jiffies.h>
#include <linux/string.h>

#include "link.h"

#define FN_UID 0x8600ff01
#define FN_SEND 0xc600801bUL
#define FN_RECEIVE 0xc600801cUL
#define SEND_PUSH 1

#define MEM_ACCEPT 0x51000011
#define MEM_RELEASE 0x51000014
#define MEM_NOTIFY 0x51000017

#define ACCEPT_CHECK_LABEL 4
#define ACCEPT_CONTIGUOUS 16 /* one range, of however many pieces the memory is */
#define ACCEPT_DONE 128
#define TRANS_SHARE 2

#define PATIENCE (10 * HZ)
#define POLL (HZ / 50) /* should an interrupt be lost */

static u64 hypercall(struct arm_smccc_1_2_regs *x)
{
	struct arm_smccc_1_2_regs in = *x;

	arm_smccc_1_2_hvc(&in, x);
	return lower_32_bits(x->a0);
}

bool link_is_gunyah(void)
{
	static const u32 uids[2][4] = { { 0xcd8fd5c1, 0xdb5f53a4, 0x36ce6592, 0x145f3d67 },
					{ 0xbd54bd19, 0x1b57370b, 0x9b606f94, 0xe69d5354 } };
	struct arm_smccc_1_2_regs x = { .a0 = FN_UID };
	u32 uid[4];

	if (arm_smccc_1_1_get_conduit() != SMCCC_CONDUIT_HVC)
		return false;
	hypercall(&x);
	uid[0] = x.a0;
	uid[1] = x.a1;
	uid[2] = x.a2;
	uid[3] = x.a3;
	return !memcmp(uid, uids[0], sizeof(uid)) || !memcmp(uid, uids[1], sizeof(uid));
}

bool link_receive(struct link *l)
{
	for (;;) {
		struct arm_smccc_1_2_regs x = { FN_RECEIVE, l->rx, (u64)l->packet,
						sizeof(l->packet) };
		int r;

		if (hypercall(&x) || !x.a1)
			return false;
		r = region_msg_add(&l->in, l->packet, x.a1);
		if (r < 0)
			dev_warn_ratelimited(l->dev, "dropped a malformed packet\n");
		else if (r)
			return true;
	}
}

static void await_news(struct link *l)
{
	wait_event_timeout(l->news, READ_ONCE(l->has_news), POLL);
	WRITE_ONCE(l->has_news, false);
}

static int send_request(struct link *l, size_t len, unsigned long end)
{
	for (;;) {
		struct arm_smccc_1_2_regs x = { FN_SEND, l->tx, len, (u64)l->request, SEND_PUSH };

		if (!hypercall(&x))
			return 0;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		await_news(l);
	}
}

/* Is it the reply to the last request? Notifications that come before it are kept. */
static bool is_reply(struct link *l, u32 id)
{
	if (l->in.type == REGION_MSG_NOTIFICATION)
		l->on_notification(l);
	return l->in.type == REGION_MSG_REPLY && l->in.seq == l->seq && l->in.id == id;
}

static int await_reply(struct link *l, u32 id, unsigned long end)
{
	for (;;) {
		while (link_receive(l))
			if (is_reply(l, id))
				return 0;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		await_news(l);
	}
}

int link_call(struct link *l, u32 id, size_t payload)
{
	unsigned long end = jiffies + PATIENCE;
	u8 *w = l->request;
	u32 status;
	int ret;

	region_put(&w, REGION_HEADER_BYTE, 1);
	region_put(&w, REGION_MSG_REQUEST, 1);
	region_put(&w, ++l->seq, 2);
	region_put(&w, id, 4);
	ret = send_request(l, REGION_HEADER + payload, end);
	if (!ret)
		ret = await_reply(l, id, end);
	if (ret) {
		dev_err(l->dev, "the resource manager does not answer message %x\n", id);
		return ret;
	}
	ret = region_reply_decode(l->in.buf, l->in.len, &status);
	return ret ? ret : min_t(u32, status, INT_MAX);
}

int link_accept(struct link *l, const struct region_offer *o)
{
	u8 *w = l->request + REGION_HEADER;

	region_put(&w, o->handle, 4);
	region_put(&w, 0, 1); /* normal memory */
	region_put(&w, TRANS_SHARE, 1);
	region_put(&w, ACCEPT_CHECK_LABEL | ACCEPT_CONTIGUOUS | ACCEPT_DONE, 2);
	region_put(&w, o->label, 4);
	region_put(&w, 0, 4); /* no access list */
	region_put(&w, 1, 4); /* one range, for this VM */
	region_put(&w, o->ipa, 8);
	region_put(&w, o->size, 8);
	region_put(&w, 0, 4); /* no attributes */
	return link_call(l, MEM_ACCEPT, w - l->request - REGION_HEADER);
}

int link_release(struct link *l, const struct region_offer *o)
{
	u8 *w = l->request + REGION_HEADER;

	region_put(&w, o->handle, 4);
	region_put(&w, 0, 4);
	return link_call(l, MEM_RELEASE, w - l->request - REGION_HEADER);
}

void link_notify(struct link *l, const struct region_offer *o, unsigned int what)
{
	u8 *w = l->request + REGION_HEADER;

	region_put(&w, o->handle, 4);
	region_put(&w, what, 4);
	region_put(&w, o->tag, 4);
	if (link_call(l, MEM_NOTIFY, w - l->request - REGION_HEADER))
		dev_warn(l->dev, "region %u: the host was not told\n", o->label);
}
