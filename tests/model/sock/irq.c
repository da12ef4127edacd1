/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virqs as eventfds. A full eventfd, or another kind of file, must not block the model, so the
 * descriptor is checked first.
 */
#include "libghvm/hyp/host.h"
#include "tests/model/sock/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_eventfd(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[32], target[32];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	return n == (ssize_t)strlen(want) && !memcmp(target, want, strlen(want));
}

static void signal_eventfd(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	const uint64_t one = 1;

	if (poll(&p, 1, 0) == 1 && p.revents & POLLOUT)
		(void)!write(fd, &one, sizeof(one)); /* not full */
}

static void unbind_virq(struct server *s, uint32_t virq)
{
	struct binding *b = &s->irqs[virq];

	if (virq == model_rm_rx_virq(s->model))
		s->rm_holder = NULL;
	(void)close(b->eventfd);
	*b = (struct binding){};
}

static int find_virq(const struct server *s, const struct ghvm_irq *arg, uint32_t *ret)
{
	uint32_t tx = model_rm_tx_virq(s->model), rx = model_rm_rx_virq(s->model);

	if (arg->kind == GHVM_IRQ_VIRQ) {
		*ret = arg->virq;
		if (arg->virq < SERVER_VIRQ_FIRST || arg->virq > SERVER_VIRQ_LAST)
			return -EINVAL;
		return arg->virq == tx || arg->virq == rx ? -EBUSY : 0; /* bound by name only */
	}
	if (arg->virq || arg->kind > GHVM_IRQ_RM_RX)
		return -EINVAL;
	*ret = arg->kind == GHVM_IRQ_RM_TX ? tx : rx;
	return 0;
}

int irq_bind(struct server *s, struct file *f, const struct ghvm_irq *arg, struct request *rq)
{
	struct binding *b;
	uint32_t virq;
	int error = find_virq(s, arg, &virq);

	if (error < 0)
		return error;
	b = &s->irqs[virq];
	if (arg->eventfd == -1) {
		if (b->file != f)
			return -ENOENT;
		unbind_virq(s, virq);
		return 0;
	}
	if (rq->fd < 0)
		return -EBADF;
	if (!is_eventfd(rq->fd))
		return -EINVAL;
	if (b->file)
		return -EBUSY;
	*b = (struct binding){ .file = f, .eventfd = rq->fd };
	rq->fd = -1;
	if (virq == model_rm_rx_virq(s->model))
		s->rm_holder = f;
	signal_eventfd(b->eventfd); /* for virqs raised earlier */
	return 0;
}

void irq_release(struct server *s, struct file *f)
{
	for (uint32_t i = 0; i <= SERVER_VIRQ_LAST; i++) {
		if (s->irqs[i].file == f)
			unbind_virq(s, i);
	}
}

void irq_raise(struct server *s, uint32_t intid)
{
	if (intid <= SERVER_VIRQ_LAST && s->irqs[intid].file)
		signal_eventfd(s->irqs[intid].eventfd);
}
