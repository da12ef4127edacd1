/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notifications kept until there is a handler.
 */
#include "libghvm/rm/backlog.h"

#include <stdlib.h>
#include <string.h>

void ghvm_backlog_add(struct ghvm_backlog *b, uint32_t id, const uint8_t *payload, size_t len)
{
	struct ghvm_backlog_entry *e;

	if (b->n == GHVM_BACKLOG_MAX)
		return;
	e = malloc(sizeof(*e) + len);
	if (!e)
		return;
	e->id = id;
	e->len = len;
	if (len)
		memcpy(e->payload, payload, len);
	b->v[b->n++] = e;
}

void ghvm_backlog_done(struct ghvm_backlog *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->v[i]);
	b->n = 0;
}
