/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What decides without touching the kernel: tests/kmod compiles it in user space as well.
 */
#ifndef _GHVM_PURE_H
#define _GHVM_PURE_H

#include <linux/errno.h>
#include <linux/types.h>

#include "uapi/ghvm.h"

#define GHVM_CALL_IDENTIFY 0x00
#define GHVM_CALL_DOORBELL_SEND 0x12
#define GHVM_CALL_DOORBELL_RECEIVE 0x13
#define GHVM_CALL_DOORBELL_RESET 0x14
#define GHVM_CALL_DOORBELL_MASK 0x15
#define GHVM_CALL_MSGQUEUE_SEND 0x1b
#define GHVM_CALL_MSGQUEUE_RECEIVE 0x1c
#define GHVM_CALL_VPM_GROUP_GET_STATE 0x45
#define GHVM_CALL_VCPU_RUN 0x65

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
 * The allow-list. Nothing here moves memory: pages change hands by the resource manager's
 * messages only, so that a guarded pin tells the truth.
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

/* What may be granted: nothing with a buffer, as that is the resource manager's. */
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

static inline bool ghvm_calls_have(const struct ghvm_grant_call *calls, u32 n, u32 call, u64 capid)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (calls[i].call == call && calls[i].capid == capid)
			return true;
	return false;
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
 * @v: @n of them, room for @cap
 */
struct ghvm_extents {
	struct ghvm_extent *v;
	u64 n;
	u64 cap;
};

/**
 * ghvm_extents_add() - append a run, joined to the last one where they touch
 * @e: with room for one more
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
 * ghvm_extents_room() - how much room to make where there are @n
 * @more: how many may come next
 *
 * Return: 0 if there can be no more: nothing in the kernel may have or copy over INT_MAX bytes.
 */
static inline u64 ghvm_extents_room(u64 n, u64 more)
{
	u64 cap = 2 * n + more;

	return cap <= INT_MAX / sizeof(struct ghvm_extent) ? cap : 0;
}

/**
 * ghvm_extents_find() - the physical run behind an offset of the pinned range
 * @ret_length: set to the bytes from there to the end of its extent
 *
 * Return: the physical address; only for an offset inside.
 */
static inline u64 ghvm_extents_find(const struct ghvm_extents *e, u64 offset, u64 *ret_length)
{
	u64 i = 0;

	while (offset >= e->v[i].length)
		offset -= e->v[i++].length;
	*ret_length = e->v[i].length - offset;
	return e->v[i].pa + offset;
}

/**
 * ghvm_range_valid() - whether a range can be pinned
 * @page: size of one
 */
static inline bool ghvm_range_valid(u64 va, u64 length, u64 page)
{
	return length && !(va % page) && !(length % page) && va <= U64_MAX - length;
}

#endif
