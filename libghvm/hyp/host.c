/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a host, whichever it is.
 */
#include "libghvm/hyp/host.h"

void ghvm_host_close(struct ghvm_host *h)
{
	if (h)
		h->ops->close(h);
}

void ghvm_host_closep(struct ghvm_host **h)
{
	ghvm_host_close(*h);
}

int ghvm_host_bind_virq(struct ghvm_host *h, struct ghvm_virq virq, int eventfd)
{
	return h->ops->irq(h, GHVM_IRQ_VIRQ, virq.intid, eventfd);
}
