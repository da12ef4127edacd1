// SPDX-License-Identifier: GPL-2.0-or-later
/* The resource manager's queues: one file's at a time, and nothing lost on the way. */
#include "tests/kmod/machine/t.h"
#include "tests/kmod/machine/rm/rpc.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long queue(int fd, uint32_t call, uint64_t capid, uint64_t a, uint64_t b)
{
	struct ghvm_hcall arg = { .call = call, .args = { capid, a, b, call == 0x1b } };
	long r = t_call(fd, GHVM_HCALL, &arg);

	return r < 0 ? r : (int32_t)arg.results[0];
}

static void buffers(int dev, const struct ghvm_info *i)
{
	uint8_t *p = t_map(2 * PAGE);
	uint64_t va = (uintptr_t)p;

	t_eq(queue(dev, 0x1b, i->rm_tx_capid, 0, va), -EINVAL, "send: nothing");
	t_eq(queue(dev, 0x1b, i->rm_tx_capid, 1025, va), -EINVAL, "send: too much");
	t_eq(queue(dev, 0x1b, i->rm_tx_capid, UINT64_MAX, va), -EINVAL, "send: far too much");
	t_eq(queue(dev, 0x1b, i->rm_tx_capid, 8, 8), -EFAULT, "send: from nowhere");
	t_eq(queue(dev, 0x1b, i->rm_tx_capid, 8, 1UL << 63), -EFAULT, "send: the kernel's");
	t_eq(queue(dev, 0x1c, i->rm_rx_capid, va, 0), -EINVAL, "receive: nothing");
	t_eq(queue(dev, 0x1c, i->rm_rx_capid, va, 1025), -EINVAL, "receive: too much");
	t_eq(queue(dev, 0x1c, i->rm_rx_capid, 8, 240), -EFAULT, "receive: to nowhere");
	t_eq(queue(dev, 0x1c, i->rm_rx_capid, 1UL << 63, 240), -EFAULT, "receive: to the kernel");
	t_eq(queue(dev, 0x1b, i->rm_rx_capid, 8, va), -EPERM, "send: into the other queue");
	t_eq(queue(dev, 0x1c, i->rm_tx_capid, va, 240), -EPERM, "receive: from the other queue");
	t_eq(queue(dev, 0x1b, 0x123456, 8, va), -EPERM, "send: into any queue");
	munmap(p, 2 * PAGE);
}

static void exclusive(int dev, const struct ghvm_info *i)
{
	static uint8_t p[240];
	int other = t_open();

	t_eq(queue(other, 0x1b, i->rm_tx_capid, 8, (uintptr_t)p), -EPERM, "send: not the holder");
	t_eq(queue(other, 0x1c, i->rm_rx_capid, (uintptr_t)p, 240), -EPERM,
	     "receive: not the holder");
	close(other);
}

/* A message that cannot be delivered stays. */
static void undelivered(struct rpc *rpc)
{
	uint8_t *ro = t_map(PAGE);
	uint32_t vmid = 0;

	rpc_send(rpc, RM_GET_VMID, NULL, 0);
	mprotect(ro, PAGE, PROT_READ);
	t_ok(t_events(rpc->eventfd, 2000) >= 1, "the reply's virq");
	t_eq(queue(rpc->dev, 0x1c, rpc->info.rm_rx_capid, (uintptr_t)ro, 240), -EFAULT,
	     "receive: to read-only memory");
	t_eq(rpc_receive(rpc, &vmid, sizeof(vmid)), 4, "receive: it is still there");
	t_eq(vmid, 3, "GET_VMID: the primary's");
	t_eq(queue(rpc->dev, 0x1c, rpc->info.rm_rx_capid, (uintptr_t)t_map(PAGE), 240), 60,
	     "receive: the queue is empty, says the hypervisor");
	munmap(ro, PAGE);
}

static void many(struct rpc *rpc)
{
	uint32_t vmid;
	int n = 0;

	for (int i = 0; i < 100; i++)
		if (rpc_call(rpc, RM_GET_VMID, NULL, 0, &vmid, sizeof(vmid)) == 4 && vmid == 3)
			n++;
	t_eq(n, 100, "GET_VMID: 100 times");
}

void test_rm(void)
{
	static uint8_t p[240];
	int dev = t_open();
	struct ghvm_info info = t_info(dev);
	struct rpc rpc;

	t_eq(queue(dev, 0x1b, info.rm_tx_capid, 8, (uintptr_t)p), -EPERM, "send: without RM rx");
	t_eq(queue(dev, 0x1c, info.rm_rx_capid, (uintptr_t)p, 240), -EPERM,
	     "receive: without RM rx");
	rpc_open(&rpc, dev);
	buffers(dev, &info);
	exclusive(dev, &info);
	undelivered(&rpc);
	many(&rpc);
	rpc_close(&rpc);
	t_eq(queue(dev, 0x1b, info.rm_tx_capid, 8, (uintptr_t)p), -EPERM, "send: given back");
	close(dev);
}
