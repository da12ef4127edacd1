/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets over a pair of message queues.
 */
#include "libghvm/rm/msgq.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "libghvm/base/bits.h"
#include "libghvm/hyp/host.h"

#define FULL_WAIT_MS 10
#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

uint64_t ghvm_msgq_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* An eventfd that the module signals at a virq; or a negative errno. */
static int bind_virq(struct ghvm_host *host, uint32_t kind)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = host->ops->irq(host, kind, 0, fd);
	if (r < 0) {
		(void)close(fd); /* nothing can be done about it */
		return r;
	}
	return fd;
}

static void unbind_virq(struct ghvm_host *host, uint32_t kind, int *fd)
{
	if (*fd < 0)
		return;
	(void)host->ops->irq(host, kind, 0, -1); /* if not now, when the host is closed */
	(void)close(*fd);			 /* nothing can be done about it */
	*fd = -1;
}

int ghvm_msgq_init_rm(struct ghvm_msgq *q, struct ghvm_host *host)
{
	struct ghvm_info info;
	int r;

	*q = (struct ghvm_msgq){ .host = host, .tx_fd = -1, .rx_fd = -1 };
	r = host->ops->info(host, &info);
	if (r < 0)
		return r;
	if (info.rm_tx_capid == GHVM_CAPID_NONE || info.rm_rx_capid == GHVM_CAPID_NONE ||
	    !(info.flags & GHVM_INFO_RM_RX_VIRQ))
		return -ENODEV;
	q->tx = (struct ghvm_capid){ info.rm_tx_capid };
	q->rx = (struct ghvm_capid){ info.rm_rx_capid };

	r = bind_virq(host, GHVM_IRQ_RM_RX);
	if (r < 0)
		return r;
	q->rx_fd = r;

	if (!(info.flags & GHVM_INFO_RM_TX_VIRQ))
		return 0;
	r = bind_virq(host, GHVM_IRQ_RM_TX);
	if (r < 0)
		return r;
	q->tx_fd = r;
	return 0;
}

void ghvm_msgq_done(struct ghvm_msgq *q)
{
	if (!q->host)
		return;
	unbind_virq(q->host, GHVM_IRQ_RM_TX, &q->tx_fd);
	unbind_virq(q->host, GHVM_IRQ_RM_RX, &q->rx_fd);
	q->host = NULL;
}

/* Wait until the virq signals space, or FULL_WAIT_MS. */
static void wait_for_space(struct ghvm_msgq *q, uint64_t left)
{
	struct pollfd p = { .fd = q->tx_fd, .events = POLLIN };
	uint64_t ms = left / NS_PER_MS + 1;
	eventfd_t n;

	if (poll(&p, 1, ms < FULL_WAIT_MS ? (int)ms : FULL_WAIT_MS) > 0)
		(void)eventfd_read(q->tx_fd, &n); /* clear it for the next edge */
}

int ghvm_msgq_send(struct ghvm_msgq *q, const void *buf, size_t len, bool push, uint64_t deadline)
{
	struct ghvm_hvc_msgqueue_send sent;
	uint64_t now;
	int r;

	if (!len || len > GHVM_MSGQUEUE_BYTES)
		return -EINVAL;
	for (;;) {
		r = ghvm_hvc_msgqueue_send(q->host, q->tx, buf, len, push, &sent);
		if (r < 0 && r != -EINTR)
			return r;
		if (r < 0)
			sent.status = GHVM_HYP_RETRY;
		if (sent.status == GHVM_HYP_OK)
			return 0;
		if (sent.status != GHVM_HYP_MSGQUEUE_FULL && sent.status != GHVM_HYP_RETRY)
			return -EREMOTEIO;
		now = ghvm_msgq_now();
		if (now >= deadline)
			return -ETIMEDOUT;
		if (sent.status == GHVM_HYP_MSGQUEUE_FULL)
			wait_for_space(q, deadline - now);
	}
}

int ghvm_msgq_receive(struct ghvm_msgq *q, uint8_t buf[GHVM_MSGQUEUE_BYTES], size_t *ret_len,
		      bool *ret_more)
{
	struct ghvm_hvc_msgqueue_receive got;
	int r;

	do
		r = ghvm_hvc_msgqueue_receive(q->host, q->rx, buf, GHVM_MSGQUEUE_BYTES, &got);
	while (r == -EINTR || (r == 0 && got.status == GHVM_HYP_RETRY));
	if (r < 0)
		return r;
	if (got.status == GHVM_HYP_MSGQUEUE_EMPTY)
		return 0;
	if (got.status != GHVM_HYP_OK)
		return -EREMOTEIO;
	if (!got.size || got.size > GHVM_MSGQUEUE_BYTES)
		return -EPROTO;
	*ret_len = (size_t)got.size;
	*ret_more = got.not_empty;
	return 1;
}
