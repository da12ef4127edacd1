/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM that a thread works for, and the owner of a VMID. Layouts: abi C.5.1, C.7.
 */
#include "libghvm/trace/attribution.h"

#include "libghvm/base/rm-abi.h"
#include "libghvm/base/wire.h"

#include <string.h>

void ghvm_callers_init(struct ghvm_callers *c)
{
	memset(c, 0, sizeof(*c));
	(void)pthread_mutex_init(&c->lock, NULL); /* cannot fail without attributes */
}

void ghvm_callers_done(struct ghvm_callers *c)
{
	(void)pthread_mutex_destroy(&c->lock); /* not locked any more */
}

/* The calling thread's slot, or a free one, or NULL. The lock is held. */
static struct ghvm_caller *find_self(struct ghvm_callers *c)
{
	struct ghvm_caller *unused = NULL;

	for (size_t i = 0; i < c->n_threads; i++) {
		struct ghvm_caller *at = &c->threads[i];

		if (!at->name)
			unused = unused ?: at;
		else if (pthread_equal(at->thread, pthread_self()))
			return at;
	}
	if (!unused && c->n_threads < GHVM_CALLER_THREADS)
		unused = &c->threads[c->n_threads];
	return unused;
}

/* Each call searches the slots up to the last one in use. The lock is held. */
static void count_threads(struct ghvm_callers *c, const struct ghvm_caller *changed)
{
	size_t end = (size_t)(changed - c->threads) + 1;

	if (c->n_threads < end)
		c->n_threads = end;
	while (c->n_threads && !c->threads[c->n_threads - 1].name)
		c->n_threads--;
}

/* A longer name is cut. */
static void copy_name(char ret[GHVM_NAME_SIZE], const char *name)
{
	size_t len = strnlen(name, GHVM_NAME_SIZE - 1);

	memcpy(ret, name, len);
	ret[len] = '\0';
}

const char *ghvm_callers_enter(struct ghvm_callers *c, const char *name)
{
	const char *before = NULL;
	struct ghvm_caller *self;

	pthread_mutex_lock(&c->lock);
	self = find_self(c);
	if (self) {
		before = self->name;
		*self = (struct ghvm_caller){ pthread_self(), name };
		count_threads(c, self);
	}
	pthread_mutex_unlock(&c->lock);
	return before;
}

void ghvm_callers_current(struct ghvm_callers *c, char ret[GHVM_NAME_SIZE])
{
	struct ghvm_caller *self;

	pthread_mutex_lock(&c->lock);
	self = find_self(c);
	copy_name(ret, self && self->name ? self->name : "");
	pthread_mutex_unlock(&c->lock);
}

void ghvm_callers_name_vmid(struct ghvm_callers *c, struct ghvm_vmid vmid, const char *name)
{
	if (vmid.id >= GHVM_CALLER_VMIDS)
		return;
	pthread_mutex_lock(&c->lock);
	copy_name(c->names[vmid.id], name);
	pthread_mutex_unlock(&c->lock);
}

/* u16 vmid, ...; or u32 handle, u16 vmid, ... */
static uint16_t vmid_in(uint32_t id, struct ghvm_get *g)
{
	switch (id) {
	case GHVM_RM_NOTIFY_MEM_ACCEPTED:
	case GHVM_RM_NOTIFY_MEM_RELEASED:
		ghvm_get_skip(g, 4);
		return ghvm_get_u16(g);
	case GHVM_RM_NOTIFY_VM_EXITED:
	case GHVM_RM_NOTIFY_VM_STATUS:
		return ghvm_get_u16(g);
	}
	return 0;
}

void ghvm_callers_notified(struct ghvm_callers *c, uint32_t id, const uint8_t *payload, size_t len,
			   char ret[GHVM_NAME_SIZE])
{
	struct ghvm_get g = { .buf = payload, .len = len };
	uint16_t vmid = vmid_in(id, &g);

	*ret = '\0';
	if (!vmid || vmid >= GHVM_CALLER_VMIDS)
		return;
	pthread_mutex_lock(&c->lock);
	memcpy(ret, c->names[vmid], GHVM_NAME_SIZE);
	pthread_mutex_unlock(&c->lock);
}
