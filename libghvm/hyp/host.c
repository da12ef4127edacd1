/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a host, whichever it is.
 */
#include "ghvm/host.h"

void ghvm_host_close(struct ghvm_host *h)
{
	if (h)
		h->ops->close(h);
}

void ghvm_host_closep(struct ghvm_host **h)
{
	ghvm_host_close(*h);
}
