/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Decisions without kernel state: tests/kmod compiles them in user space as well.
 */
#ifndef _GHVM_PURE_H
#define _GHVM_PURE_H

#include <linux/bsearch.h>
#include <linux/errno.h>
#include <linux/types.h>

#include "uapi/ghvm.h"

#define GHVM_BUFFER_MAX 1024

#define GHVM_SPI_FIRST 32
#define GHVM_SPI_LAST 1019

/**
 * enum ghvm_call_kind - how a hypercall is made
 * @GHVM_CALL_REFUSED: not in the allow-list
 * @GHVM_CALL_PLAIN: registers in, registers out
 * @GHVM_CALL_SEND: X3 is a buffer of X2 bytes, read by the hypervisor
 * @GHVM_CALL_RECEIVE: X2 is a buffer of X3 bytes, written by it
 */
enum ghvm_call_kind {
	GHVM_CALL_REFUSED,
	GHVM_CALL_PLAIN,
	GHVM_CALL_SEND,
	GHVM_CALL_RECEIVE,
};

/*
 * The allow-list. None of these calls moves memory: only the resource manager's messages do, so
 * that the guard of a pin is reliable.
 */
static inline enum ghvm_call_kind ghvm_call_kind(u32 call)
{
	switch (call) {
	case GHVM_CALL_IDENTIFY:
	case GHVM_CALL_DOORBELL_SEND:
	case GHVM_CALL_DOORBELL_RECEIVE:
	case GHVM_CALL_DOORBELL_RESET:
	case GHVM_CALL_DOORBELL_MASK:
	case GHVM_CALL_VPM_GROUP_GET_STATE:
	case GHVM_CALL_VCPU_RUN:
		return GHVM_CALL_PLAIN;
	case GHVM_CALL_MSGQUEUE_SEND:
		return GHVM_CALL_SEND;
	case GHVM_CALL_MSGQUEUE_RECEIVE:
		return GHVM_CALL_RECEIVE;
	default:
		return GHVM_CALL_REFUSED;
	}
}

/* Virqs of resources are shared peripheral interrupts. */
static inline bool ghvm_virq_valid(u32 virq)
{
	return virq >= GHVM_SPI_FIRST && virq <= GHVM_SPI_LAST;
}

/* Calls with a buffer cannot be granted, as they are for the resource manager's queues. */
static inline int ghvm_calls_check(const struct ghvm_grant_call *calls, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		if (calls[i].__reserved)
			return -EINVAL;
		if (ghvm_call_kind(calls[i].call) != GHVM_CALL_PLAIN)
			return -EPERM;
	}
	return 0;
}

/* Order of the calls of a grant, for sort(). */
static inline int ghvm_calls_compare(const void *a, const void *b)
{
	const struct ghvm_grant_call *x = a, *y = b;

	if (x->capid != y->capid)
		return x->capid < y->capid ? -1 : 1;
	return x->call < y->call ? -1 : x->call > y->call;
}

/* @calls: sorted by ghvm_calls_compare() */
static inline bool ghvm_calls_have(const struct ghvm_grant_call *calls, u32 n, u32 call, u64 capid)
{
	const struct ghvm_grant_call wanted = { .call = call, .capid = capid };

	return __inline_bsearch(&wanted, calls, n, sizeof(*calls), ghvm_calls_compare);
}

static inline bool ghvm_virqs_have(const u32 *virqs, u32 n, u32 virq)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (virqs[i] == virq)
			return true;
	return false;
}

/**
 * struct ghvm_extents - physical runs, in the order of the pinned range
 * @v: @n extents, allocated for @cap
 */
struct ghvm_extents {
	struct ghvm_extent *v;
	u64 n;
	u64 cap;
};

/**
 * ghvm_extents_add() - append an extent, merged with the last one if contiguous
 * @e: must have space for one more
 */
static inline void ghvm_extents_add(struct ghvm_extents *e, u64 pa, u64 length)
{
	struct ghvm_extent *last = e->n ? &e->v[e->n - 1] : NULL;

	if (last && last->pa + last->length == pa) {
		last->length += length;
		return;
	}
	e->v[e->n].pa = pa;
	e->v[e->n].length = length;
	e->n++;
}

/**
 * ghvm_extents_room() - capacity for growing a list of @n extents
 * @more: extents to be added next
 *
 * Return: 0 if the limit is reached: the kernel cannot allocate or copy more than INT_MAX bytes.
 */
static inline u64 ghvm_extents_room(u64 n, u64 more)
{
	u64 cap = 2 * n + more;

	return cap <= INT_MAX / sizeof(struct ghvm_extent) ? cap : 0;
}

/**
 * struct ghvm_cursor - a place in a list of extents
 * @i: index of its extent
 * @within: bytes from the start of that extent
 */
struct ghvm_cursor {
	u64 i;
	u64 within;
};

/**
 * ghvm_extents_find() - find an offset of the pinned range
 * @offset: must be inside the range
 */
static inline struct ghvm_cursor ghvm_extents_find(const struct ghvm_extents *e, u64 offset)
{
	struct ghvm_cursor c = { .within = offset };

	while (c.within >= e->v[c.i].length)
		c.within -= e->v[c.i++].length;
	return c;
}

/**
 * ghvm_cursor_advance() - move on, at most to the end of the extent, where the next one begins
 */
static inline void ghvm_cursor_advance(struct ghvm_cursor *c, const struct ghvm_extents *e, u64 n)
{
	c->within += n;
	if (c->within < e->v[c->i].length)
		return;
	c->within = 0;
	c->i++;
}

/**
 * ghvm_range_valid() - whether a range can be pinned
 * @page: page size
 */
static inline bool ghvm_range_valid(u64 va, u64 length, u64 page)
{
	return length && !(va % page) && !(length % page) && va <= U64_MAX - length;
}

#endif
