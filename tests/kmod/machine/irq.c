// SPDX-License-Identifier: GPL-2.0-or-later
/* Virqs: who may have which, once. */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <unistd.h>

static long irq(int fd, uint32_t kind, uint32_t virq, int eventfd)
{
	struct ghvm_irq arg = { .kind = kind, .virq = virq, .eventfd = eventfd };

	return t_call(fd, GHVM_IRQ, &arg);
}

static void arguments(int dev, int e)
{
	t_eq(irq(dev, 3, 0, e), -EINVAL, "IRQ: kind 3");
	t_eq(irq(dev, GHVM_IRQ_VIRQ, 0, e), -EINVAL, "IRQ: INTID 0");
	t_eq(irq(dev, GHVM_IRQ_VIRQ, 31, e), -EINVAL, "IRQ: INTID 31");
	t_eq(irq(dev, GHVM_IRQ_VIRQ, 1020, e), -EINVAL, "IRQ: INTID 1020");
	t_eq(irq(dev, GHVM_IRQ_VIRQ, UINT32_MAX, e), -EINVAL, "IRQ: INTID -1");
	t_eq(irq(dev, GHVM_IRQ_RM_RX, 40, e), -EINVAL, "IRQ: RM rx has no number");
	t_eq(irq(dev, GHVM_IRQ_RM_RX, 0, -2), -EINVAL, "IRQ: eventfd -2");
	t_eq(irq(dev, GHVM_IRQ_RM_RX, 0, 9999), -EBADF, "IRQ: no such descriptor");
	t_eq(irq(dev, GHVM_IRQ_RM_RX, 0, dev), -EINVAL, "IRQ: a descriptor of something else");
	t_eq(irq(dev, GHVM_IRQ_RM_RX, 0, -1), -ENOENT, "IRQ: unbind what is not bound");
}

static void exclusive(int dev, uint32_t kind, uint32_t virq, const char *name)
{
	int other = t_open(), e = t_eventfd();

	t_eq(irq(dev, kind, virq, e), 0, "%s: bound", name);
	t_ok(t_events(e, 0) >= 1, "%s: signalled at once", name);
	t_eq(irq(dev, kind, virq, e), -EBUSY, "%s: twice", name);
	t_eq(irq(other, kind, virq, e), -EBUSY, "%s: by another file", name);
	t_eq(irq(other, kind, virq, -1), -ENOENT, "%s: another file cannot unbind it", name);
	t_eq(irq(dev, kind, virq, -1), 0, "%s: unbound", name);
	t_eq(irq(other, kind, virq, e), 0, "%s: now the other", name);
	t_ok(t_events(e, 0) >= 1, "%s: signalled again", name);
	close(other);
	t_eq(irq(dev, kind, virq, e), 0, "%s: free since that one closed", name);
	t_eq(irq(dev, kind, virq, -1), 0, "%s: unbound again", name);
	close(e);
}

/* Interrupts of the UART, the timer and virtio, and unused ones: never a virq of ours. */
static void devices(int dev)
{
	int e = t_eventfd(), busy = 0;

	for (uint32_t virq = 32; virq < 64; virq++) {
		long r = irq(dev, GHVM_IRQ_VIRQ, virq, e);

		if (r == -EBUSY)
			busy++;
		else if (!r)
			r = irq(dev, GHVM_IRQ_VIRQ, virq, -1);
	}
	t_ok(busy > 0, "IRQ: the interrupts of devices are theirs (%d)", busy);
	close(e);
}

void test_irq(void)
{
	int dev = t_open(), e = t_eventfd();

	arguments(dev, e);
	exclusive(dev, GHVM_IRQ_RM_TX, 0, "RM tx");
	exclusive(dev, GHVM_IRQ_RM_RX, 0, "RM rx");
	exclusive(dev, GHVM_IRQ_VIRQ, 250, "a virq");
	for (int i = 0; i < 100; i++)
		if (irq(dev, GHVM_IRQ_VIRQ, 250, e) || irq(dev, GHVM_IRQ_VIRQ, 250, -1))
			t_die("IRQ: bound and unbound, time %d", i);
	t_ok(true, "IRQ: bound and unbound 100 times");
	devices(dev);
	close(e);
	close(dev);
}
