/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring, and what its messages say. Layouts: abi C.5, C.6, C.7.
 */
#include "libghvm/trace.h"

#include "libghvm/bits.h"
#include "libghvm/error.h"
#include "libghvm/rm-abi.h"
#include "libghvm/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ACL_SHOWN 4

/* ---- the ring ---- */

int ghvm_trace_init(struct ghvm_trace *t)
{
	t->last = 0;
	t->ring = calloc(GHVM_TRACE_MESSAGES, sizeof(*t->ring));
	if (!t->ring)
		return -ENOMEM;
	(void)pthread_mutex_init(&t->lock, NULL); /* cannot fail without attributes */
	return 0;
}

void ghvm_trace_done(struct ghvm_trace *t)
{
	if (!t->ring)
		return;
	(void)pthread_mutex_destroy(&t->lock);
	free(t->ring);
	t->ring = NULL;
}

static uint64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* the clock exists */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct ghvm_trace_message *place_of(struct ghvm_trace *t, uint64_t number)
{
	return &t->ring[number % GHVM_TRACE_MESSAGES];
}

void ghvm_trace_add(void *trace, char dir, uint32_t id, uint16_t seq, const uint8_t *payload,
		    size_t len)
{
	struct ghvm_trace *t = trace;
	struct ghvm_trace_message *m;

	pthread_mutex_lock(&t->lock);
	m = place_of(t, ++t->last);
	m->number = t->last;
	m->usec = now_usec();
	m->id = id;
	m->seq = seq;
	m->dir = dir;
	m->len = (uint32_t)len;
	if (len)
		memcpy(m->data, payload, len < sizeof(m->data) ? len : sizeof(m->data));
	pthread_mutex_unlock(&t->lock);
}

int ghvm_trace_next(struct ghvm_trace *t, uint64_t after, struct ghvm_trace_message *ret)
{
	uint64_t oldest;
	int r;

	pthread_mutex_lock(&t->lock);
	oldest = t->last > GHVM_TRACE_MESSAGES ? t->last - GHVM_TRACE_MESSAGES + 1 : 1;
	r = after < t->last;
	if (r)
		*ret = *place_of(t, after < oldest ? oldest : after + 1);
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* ---- in words ---- */

struct text {
	char *at;
	size_t left;
};

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at, t->left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->left)
		n = t->left ? (int)t->left - 1 : 0;
	t->at += n;
	t->left -= (size_t)n;
}

/* u16 vmid, ... */
static void say_vmid(struct text *t, struct ghvm_get *g)
{
	uint16_t vmid = ghvm_get_u16(g);

	if (!g->bad)
		say(t, " vmid %u", vmid);
}

/* u32 handle, ... */
static void say_handle(struct text *t, struct ghvm_get *g)
{
	uint32_t handle = ghvm_get_u32(g);

	if (!g->bad)
		say(t, " handle %u", handle);
}

/* u16 vmid, u8 flags, ... */
static void say_stop(struct text *t, struct ghvm_get *g)
{
	say_vmid(t, g);
	if (ghvm_get_u8(g) & 1)
		say(t, " force");
}

/* u16 vmid, u16 auth, u32 handle, ... */
static void say_config(struct text *t, struct ghvm_get *g)
{
	say_vmid(t, g);
	ghvm_get_skip(g, 2);
	say_handle(t, g);
}

/* u32 handle, u8 flags, ... */
static void say_reclaim(struct text *t, struct ghvm_get *g)
{
	say_handle(t, g);
	if (ghvm_get_u8(g) & 1)
		say(t, " sanitise");
}

static void say_entries(struct text *t, struct ghvm_get *g)
{
	uint16_t n = ghvm_get_u16(g);

	if (!g->bad)
		say(t, " %u entries", n);
}

/* u32 handle, u8 flags, u8[3], u16 n, ... */
static void say_append(struct text *t, struct ghvm_get *g)
{
	say_handle(t, g);
	ghvm_get_skip(g, 4);
	say_entries(t, g);
}

/* u8 type, u8, u8 flags, u8, u32 label, u16 n, u16, n * { u16 vmid, u8 rights, u8 }, u16 n, ... */
static void say_create(struct text *t, struct ghvm_get *g)
{
	uint32_t label;
	uint16_t n;

	ghvm_get_skip(g, 4);
	label = ghvm_get_u32(g);
	n = ghvm_get_u16(g);
	ghvm_get_skip(g, 2);
	if (g->bad)
		return;
	say(t, " label %u for", label);
	for (unsigned int i = 0; i < n && !g->bad; i++) {
		uint16_t vmid = ghvm_get_u16(g);

		ghvm_get_skip(g, 2);
		if (!g->bad && i < ACL_SHOWN)
			say(t, "%s%u", i ? "," : " ", vmid);
	}
	say_entries(t, g);
}

/* u8 vm_status, ... */
static void say_state(struct text *t, struct ghvm_get *g)
{
	uint8_t state = ghvm_get_u8(g);

	if (!g->bad)
		say(t, " state %u", state);
}

/* u32 n, n * resource */
static void say_resources(struct text *t, struct ghvm_get *g)
{
	uint32_t n = ghvm_get_u32(g);

	if (!g->bad)
		say(t, " %u resources", n);
}

/* u16 vmid, u16 exit type, ... */
static void say_exited(struct text *t, struct ghvm_get *g)
{
	uint16_t type;

	say_vmid(t, g);
	type = ghvm_get_u16(g);
	if (!g->bad)
		say(t, " exit type %u", type);
}

/* u16 vmid, u16, u8 vm_status, ... */
static void say_status(struct text *t, struct ghvm_get *g)
{
	say_vmid(t, g);
	ghvm_get_skip(g, 2);
	say_state(t, g);
}

typedef void (*say_fn)(struct text *t, struct ghvm_get *g);

/* @sent: a request or a notification; @reply: behind its status. NULL: nothing to say */
static const struct {
	uint32_t id;
	say_fn sent;
	say_fn reply;
} details[] = {
	{ GHVM_RM_MEM_LEND, say_create, say_handle },
	{ GHVM_RM_MEM_SHARE, say_create, say_handle },
	{ GHVM_RM_MEM_APPEND, say_append, NULL },
	{ GHVM_RM_MEM_RELEASE, say_reclaim, NULL },
	{ GHVM_RM_MEM_RECLAIM, say_reclaim, NULL },
	{ GHVM_RM_MEM_NOTIFY, say_handle, NULL },
	{ GHVM_RM_MEM_LOOKUP_SGL, say_create, say_handle },
	{ GHVM_RM_VM_ALLOCATE, say_vmid, say_vmid },
	{ GHVM_RM_VM_DEALLOCATE, say_vmid, NULL },
	{ GHVM_RM_VM_START, say_vmid, NULL },
	{ GHVM_RM_VM_STOP, say_stop, NULL },
	{ GHVM_RM_VM_RESET, say_vmid, NULL },
	{ GHVM_RM_VM_CONFIG_IMAGE, say_config, NULL },
	{ GHVM_RM_VM_INIT, say_vmid, NULL },
	{ GHVM_RM_VM_GET_STATE, say_vmid, say_state },
	{ GHVM_RM_VM_GET_HYP_RESOURCES, say_vmid, say_resources },
	{ GHVM_RM_VM_GET_VMID, NULL, say_vmid },
	{ GHVM_RM_NOTIFY_MEM_SHARED, say_handle, NULL },
	{ GHVM_RM_NOTIFY_MEM_RELEASED, say_handle, NULL },
	{ GHVM_RM_NOTIFY_MEM_ACCEPTED, say_handle, NULL },
	{ GHVM_RM_NOTIFY_MEM_RECALL, say_handle, NULL },
	{ GHVM_RM_NOTIFY_VM_EXITED, say_exited, NULL },
	{ GHVM_RM_NOTIFY_VM_STATUS, say_status, NULL },
};

void ghvm_trace_to_text(const struct ghvm_trace_message *m, char ret[GHVM_TRACE_TEXT])
{
	struct ghvm_get g = {
		.buf = m->data,
		.len = m->len < sizeof(m->data) ? m->len : sizeof(m->data),
	};
	struct text t = { .at = ret, .left = GHVM_TRACE_TEXT };
	uint32_t status = 0;

	say(&t, "%c %04x %s", m->dir, m->seq, ghvm_rm_message_to_string(m->id));
	if (m->dir == '<') {
		status = ghvm_get_u32(&g);
		say(&t, ": %s", g.bad ? "no status" : ghvm_rm_status_to_string(status));
	}
	for (size_t i = 0; i < ARRAY_SIZE(details) && !g.bad && status == 0; i++) {
		say_fn fn = m->dir == '<' ? details[i].reply : details[i].sent;

		if (details[i].id == m->id && fn)
			fn(&t, &g);
	}
	if (g.bad)
		say(&t, " (short)");
}
