/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM that a thread works for, and the owner of a VMID. Layouts: abi C.5.1, C.7.
 */
#include "libghvm/trace/attribution.h"

#include "libghvm/base/rm-abi.h"
#include "libghvm/base/wire.h"

#include <stdio.h>
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

	for (size_t i = 0; i < GHVM_CALLER_THREADS; i++) {
		struct ghvm_caller *at = &c->threads[i];

		if (!at->name)
			unused = unused ?: at;
		else if (pthread_equal(at->thread, pthread_self()))
			return at;
	}
	return unused;
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
	}
	pthread_mutex_unlock(&c->lock);
	return before;
}

void ghvm_callers_current(struct ghvm_callers *c, char ret[GHVM_NAME_SIZE])
{
	struct ghvm_caller *self;

	pthread_mutex_lock(&c->lock);
	self = find_self(c);
	(void)snprintf(ret, GHVM_NAME_SIZE, "%s", self && self->name ? self->name : "");
	pthread_mutex_unlock(&c->lock);
}

void ghvm_callers_name_vmid(struct ghvm_callers *c, struct ghvm_vmid vmid, const char *name)
{
	if (vmid.id >= GHVM_CALLER_VMIDS)
		return;
	pthread_mutex_lock(&c->lock);
	(void)snprintf(c->names[vmid.id], GHVM_NAME_SIZE, "%s", name); /* a name fits */
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
