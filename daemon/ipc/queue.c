/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A list of copied messages. A later message never overtakes a waiting one.
 */
#include "daemon/ipc/queue.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/**
 * struct ghvm_link_entry - a message, with the arguments of ghvm_link_send()
 * @fds: owned
 */
struct ghvm_link_entry {
	struct ghvm_link_entry *next;
	uint32_t type;
	int fds[GHVM_LINK_FDS_MAX];
	size_t n_fds;
	size_t len;
	uint8_t payload[];
};

static void entry_free(struct ghvm_link_entry *e)
{
	for (size_t i = 0; i < e->n_fds; i++)
		closep(&e->fds[i]);
	free(e);
}

static int entry_new(uint32_t type, const struct ghvm_put *payload, const int *fds, size_t n_fds,
		     struct ghvm_link_entry **ret)
{
	size_t len = payload ? payload->len : 0;
	struct ghvm_link_entry *e = calloc(1, sizeof(*e) + len);

	if (!e)
		return -ENOMEM;
	e->type = type;
	e->len = len;
	if (len)
		memcpy(e->payload, payload->buf, len);
	for (; e->n_fds < n_fds; e->n_fds++) {
		e->fds[e->n_fds] = fcntl(fds[e->n_fds], F_DUPFD_CLOEXEC, 3);
		if (e->fds[e->n_fds] < 0) {
			int r = -errno;

			entry_free(e);
			return r;
		}
	}
	*ret = e;
	return 0;
}

static int append_entry(struct ghvm_link_queue *q, uint32_t type, const struct ghvm_put *payload,
			const int *fds, size_t n_fds)
{
	struct ghvm_link_entry **end = &q->first;
	int r;

	if (q->n >= GHVM_LINK_QUEUE_MAX)
		return -EAGAIN;
	while (*end)
		end = &(*end)->next;
	r = entry_new(type, payload, fds, n_fds, end);
	if (r == 0)
		q->n++;
	return r;
}

static int send_entry(const struct ghvm_link_entry *e, int sock)
{
	const struct ghvm_put w = { .buf = (uint8_t *)e->payload, .cap = e->len, .len = e->len };

	return ghvm_link_send(sock, e->type, &w, e->fds, e->n_fds);
}

int ghvm_link_flush(struct ghvm_link_queue *q, int sock)
{
	struct ghvm_link_entry *e;
	int r;

	while (q->first) {
		e = q->first;
		r = send_entry(e, sock);
		if (r < 0)
			return ghvm_link_try_later(r) ? 0 : r;
		q->first = e->next;
		q->n--;
		entry_free(e);
	}
	return 0;
}

int ghvm_link_post(struct ghvm_link_queue *q, int sock, uint32_t type,
		   const struct ghvm_put *payload, const int *fds, size_t n_fds)
{
	int r = ghvm_link_flush(q, sock);

	if (r < 0)
		return r;
	r = q->first ? -EAGAIN : ghvm_link_send(sock, type, payload, fds, n_fds);
	return ghvm_link_try_later(r) ? append_entry(q, type, payload, fds, n_fds) : r;
}

bool ghvm_link_waits(const struct ghvm_link_queue *q)
{
	return q->first;
}

void ghvm_link_queue_done(struct ghvm_link_queue *q)
{
	struct ghvm_link_entry *e;

	while (q->first) {
		e = q->first;
		q->first = e->next;
		entry_free(e);
	}
	q->n = 0;
}
