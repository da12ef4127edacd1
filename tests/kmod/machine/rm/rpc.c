// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/kmod/machine/rm/rpc.h"
#include "tests/kmod/machine/t.h"

#include <string.h>
#include <unistd.h>

#define HEADER 8
#define PACKET 240
#define EMPTY 60
#define REPLY 2

static int32_t queue(struct rpc *rpc, struct ghvm_hcall *arg)
{
	if (t_call(rpc->dev, GHVM_HCALL, arg))
		t_die("HCALL %#x", arg->call);
	return (int32_t)arg->results[0];
}

static long packet(struct rpc *rpc, uint8_t *buf)
{
	struct ghvm_hcall arg = { .call = 0x1c, .args = { rpc->info.rm_rx_capid } };
	int32_t r;

	arg.args[1] = (uintptr_t)buf;
	arg.args[2] = PACKET;
	r = queue(rpc, &arg);
	if (r == EMPTY)
		return 0;
	if (r || arg.results[1] < HEADER || arg.results[1] > PACKET)
		t_die("receive: %d, %llu bytes", r, (unsigned long long)arg.results[1]);
	return (long)arg.results[1];
}

void rpc_open(struct rpc *rpc, int dev)
{
	struct ghvm_irq irq = { .kind = GHVM_IRQ_RM_RX };
	uint8_t buf[PACKET];

	*rpc = (struct rpc){ .dev = dev, .eventfd = t_eventfd(), .seq = (uint16_t)t_now() };
	rpc->info = t_info(dev);
	irq.eventfd = rpc->eventfd;
	if (t_call(dev, GHVM_IRQ, &irq))
		t_die("RM rx");
	while (packet(rpc, buf))
		; /* left by an earlier process */
	(void)t_events(rpc->eventfd, 0);
}

void rpc_close(struct rpc *rpc)
{
	struct ghvm_irq irq = { .kind = GHVM_IRQ_RM_RX, .eventfd = -1 };

	if (t_call(rpc->dev, GHVM_IRQ, &irq))
		t_die("RM rx unbound");
	close(rpc->eventfd);
}

void rpc_send(struct rpc *rpc, uint32_t id, const void *payload, size_t n)
{
	uint8_t buf[PACKET] = { 0x21, 1 };
	struct ghvm_hcall arg = { .call = 0x1b, .args = { rpc->info.rm_tx_capid, HEADER + n } };

	rpc->seq++;
	memcpy(buf + 2, &rpc->seq, 2);
	memcpy(buf + 4, &id, 4);
	if (n)
		memcpy(buf + HEADER, payload, n);
	arg.args[2] = (uintptr_t)buf;
	arg.args[3] = 1;
	if (queue(rpc, &arg))
		t_die("send");
}

/* The next packet that answers the last request. */
static long answer(struct rpc *rpc, uint8_t *buf)
{
	uint64_t end = t_now() + 10000;
	long n;

	while (t_now() < end) {
		n = packet(rpc, buf);
		if (!n)
			(void)t_events(rpc->eventfd, 100);
		else if ((buf[1] & 3) == REPLY && !memcmp(buf + 2, &rpc->seq, 2))
			return n;
	}
	t_die("no answer from the resource manager");
}

long rpc_receive(struct rpc *rpc, void *reply, size_t room)
{
	uint8_t buf[PACKET];
	long n = answer(rpc, buf);
	size_t size = (size_t)n - HEADER - 4;
	uint32_t status;

	memcpy(&status, buf + HEADER, 4);
	if (status)
		return -(long)status;
	if (size > room)
		t_die("a reply of %zu bytes", size);
	if (size)
		memcpy(reply, buf + HEADER + 4, size);
	return (long)size;
}

long rpc_call(struct rpc *rpc, uint32_t id, const void *payload, size_t n, void *reply, size_t room)
{
	rpc_send(rpc, id, payload, n);
	return rpc_receive(rpc, reply, room);
}
