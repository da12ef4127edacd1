/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings of messages. Payloads are allocated one by one, as most are short and a few are long.
 */
#include "ghvm/trace.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/trace/attribution.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/**
 * struct slot - a message in a ring, as struct ghvm_trace_message
 * @kept: bytes at @data; owned
 */
struct slot {
	uint64_t number;
	uint64_t usec;
	char vm[GHVM_NAME_SIZE];
	uint32_t id;
	uint32_t len;
	uint16_t seq;
	char dir;
	uint32_t kept;
	uint8_t *data;
};

/**
 * struct ghvm_trace_ring - messages of one VM, or of all VMs
 * @last: number of the newest, 0: none yet
 * @seen: number of its newest message in the ring of all VMs
 */
struct ghvm_trace_ring {
	char vm[GHVM_NAME_SIZE];
	uint64_t last;
	uint64_t seen;
	size_t size;
	struct slot slots[];
};

static struct ghvm_trace_ring *new_ring(const char *vm, size_t size)
{
	struct ghvm_trace_ring *ring = calloc(1, sizeof(*ring) + size * sizeof(struct slot));

	if (!ring)
		return NULL;
	ring->size = size;
	(void)snprintf(ring->vm, sizeof(ring->vm), "%s", vm); /* a name fits */
	return ring;
}

static void free_ring(struct ghvm_trace_ring *ring)
{
	for (size_t i = 0; ring && i < ring->size; i++)
		free(ring->slots[i].data);
	free(ring);
}

/**
 * struct ghvm_trace - the rings
 * @lock: guards the following members
 * @all: owned; @vms: owned, NULL: not used yet
 */
struct ghvm_trace {
	pthread_mutex_t lock;
	struct ghvm_trace_ring *all;
	struct ghvm_trace_ring *vms[GHVM_TRACE_VMS];
};

int ghvm_trace_new(struct ghvm_trace **ret)
{
	_cleanup_(freep) struct ghvm_trace *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->all = new_ring("", GHVM_TRACE_MESSAGES);
	if (!t->all)
		return -ENOMEM;
	(void)pthread_mutex_init(&t->lock, NULL); /* cannot fail without attributes */
	*ret = TAKE_PTR(t);
	return 0;
}

void ghvm_trace_free(struct ghvm_trace *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < GHVM_TRACE_VMS; i++)
		free_ring(t->vms[i]);
	free_ring(t->all);
	(void)pthread_mutex_destroy(&t->lock); /* not locked any more */
	free(t);
}

void ghvm_trace_freep(struct ghvm_trace **t)
{
	ghvm_trace_free(*t);
}

/* ---- the lock is held ---- */

static uint64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* the clock exists */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct slot *slot_of(struct ghvm_trace_ring *ring, uint64_t number)
{
	return &ring->slots[number % ring->size];
}

/* The ring of @vm; NULL: it has none. */
static struct ghvm_trace_ring *find_ring(const struct ghvm_trace *t, const char *vm)
{
	for (size_t i = 0; i < GHVM_TRACE_VMS; i++)
		if (t->vms[i] && strcmp(t->vms[i]->vm, vm) == 0)
			return t->vms[i];
	return NULL;
}

/* The place for another ring: a free one, or that of the ring silent for the longest. */
static struct ghvm_trace_ring **find_place(struct ghvm_trace *t)
{
	struct ghvm_trace_ring **oldest = &t->vms[0];

	for (size_t i = 0; i < GHVM_TRACE_VMS && *oldest; i++)
		if (!t->vms[i] || t->vms[i]->seen < (*oldest)->seen)
			oldest = &t->vms[i];
	return oldest;
}

/* As find_ring(), but creates it; NULL: out of memory. */
static struct ghvm_trace_ring *ring_for(struct ghvm_trace *t, const char *vm)
{
	struct ghvm_trace_ring *ring = find_ring(t, vm), **at;

	if (!ring) {
		ring = new_ring(vm, GHVM_TRACE_VM_MESSAGES);
		if (!ring)
			return NULL;
		at = find_place(t);
		free_ring(*at);
		*at = ring;
	}
	ring->seen = t->all->last;
	return ring;
}

static void add_to(struct ghvm_trace_ring *ring, const struct slot *m, const uint8_t *payload)
{
	uint8_t *data = m->kept ? malloc(m->kept) : NULL;
	struct slot *s = slot_of(ring, ++ring->last);

	free(s->data);
	*s = (struct slot){};
	if (m->kept && !data)
		return;
	*s = *m;
	s->number = ring->last;
	s->data = data;
	if (data)
		memcpy(data, payload, m->kept);
}

void ghvm_trace_add(void *trace, const char *vm, char dir, uint32_t id, uint16_t seq,
		    const uint8_t *payload, size_t len)
{
	struct ghvm_trace *t = trace;
	struct ghvm_trace_ring *ring;
	struct slot m = {
		.usec = now_usec(),
		.id = id,
		.len = (uint32_t)len,
		.seq = seq,
		.dir = dir,
		.kept = (uint32_t)(len < GHVM_TRACE_BYTES ? len : GHVM_TRACE_BYTES),
	};

	if (!strcmp(vm, GHVM_CALLER_UNSEEN))
		return;
	(void)snprintf(m.vm, sizeof(m.vm), "%s", vm); /* a name fits */
	pthread_mutex_lock(&t->lock);
	add_to(t->all, &m, payload);
	ring = *vm ? ring_for(t, vm) : NULL;
	if (ring)
		add_to(ring, &m, payload);
	pthread_mutex_unlock(&t->lock);
}

/* lookup; the lock is held */

/*
 * The first message kept after number @after, or NULL. Slots without a number are skipped: their
 * allocation failed.
 */
static const struct slot *find_after(struct ghvm_trace_ring *ring, uint64_t after)
{
	uint64_t n = after > ring->last ? 1 : after + 1;

	if (ring->last > ring->size && n <= ring->last - ring->size)
		n = ring->last - ring->size + 1;
	for (; n <= ring->last; n++)
		if (slot_of(ring, n)->number == n)
			return slot_of(ring, n);
	return NULL;
}

static void copy_out(const struct slot *s, struct ghvm_trace_message *ret)
{
	ret->number = s->number;
	ret->usec = s->usec;
	memcpy(ret->vm, s->vm, sizeof(ret->vm));
	ret->id = s->id;
	ret->len = s->len;
	ret->seq = s->seq;
	ret->dir = s->dir;
	if (s->kept)
		memcpy(ret->data, s->data, s->kept);
}

int ghvm_trace_next(struct ghvm_trace *t, const char *vm, uint64_t after,
		    struct ghvm_trace_message *ret)
{
	struct ghvm_trace_ring *ring;
	const struct slot *s;

	pthread_mutex_lock(&t->lock);
	ring = vm ? find_ring(t, vm) : t->all;
	s = ring ? find_after(ring, after) : NULL;
	if (s)
		copy_out(s, ret);
	pthread_mutex_unlock(&t->lock);
	return s ? 1 : 0;
}
