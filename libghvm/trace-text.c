/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a message says, in words. Layouts: abi C.5, C.6, C.7.
 *
 * A message may be cut, by us, or too short, by whoever sent it: what there is of it is said.
 */
#include "libghvm/trace.h"

#include "libghvm/bits.h"
#include "libghvm/error.h"
#include "libghvm/rm-abi.h"
#include "libghvm/wire.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ACL_SHOWN 4
#define REASON_SHOWN 4 /* words */
#define MEM_IO 1
#define CREATE_SANITISE 1
#define CREATE_APPEND 2
#define RESOURCE_SIZE 44

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

/* What has no name is said as a number. */
static void say_name(struct text *t, const char *name, uint32_t number)
{
	if (strcmp(name, "unknown") == 0)
		say(t, "0x%x", number);
	else
		say(t, "%s", name);
}

/* ---- pieces ---- */

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

static void say_tag(struct text *t, struct ghvm_get *g)
{
	uint32_t tag = ghvm_get_u32(g);

	if (!g->bad)
		say(t, " tag 0x%x", tag);
}

/* u8 vm_status, ... */
static void say_state(struct text *t, struct ghvm_get *g)
{
	uint8_t state = ghvm_get_u8(g);

	if (g->bad)
		return;
	say(t, " state ");
	say_name(t, ghvm_vm_status_to_string((enum ghvm_vm_status)state), state);
}

/* u64 offset, u64 size */
static void say_range(struct text *t, struct ghvm_get *g, const char *what)
{
	uint64_t offset = ghvm_get_u64(g);
	uint64_t size = ghvm_get_u64(g);

	if (!g->bad)
		say(t, " %s 0x%" PRIx64 "+0x%" PRIx64, what, offset, size);
}

/* u16 n, u16, n * { u64 ipa, u64 size } */
static void say_entries(struct text *t, struct ghvm_get *g)
{
	uint16_t n = ghvm_get_u16(g);
	uint64_t bytes = 0;

	ghvm_get_skip(g, 2);
	if (g->bad)
		return;
	say(t, " %u entries", n);
	for (unsigned int i = 0; i < n && !g->bad; i++) {
		ghvm_get_skip(g, 8);
		bytes += ghvm_get_u64(g); /* for people: what wraps was nonsense */
	}
	say(t, " %s%" PRIu64 " bytes", g->bad ? "at least " : "", bytes);
}

/* " 130 rwx", of X 1, W 2, R 4 */
static void say_rights(struct text *t, uint16_t vmid, uint8_t rights)
{
	say(t, " %u %s%s%s", vmid, rights & 4 ? "r" : "", rights & 2 ? "w" : "",
	    rights & 1 ? "x" : "");
}

/* u16 n, u16, n * { u16 vmid, u8 rights, u8 } */
static void say_acl(struct text *t, struct ghvm_get *g)
{
	uint16_t n = ghvm_get_u16(g);

	ghvm_get_skip(g, 2);
	if (g->bad)
		return;
	say(t, " for");
	for (unsigned int i = 0; i < n && !g->bad; i++) {
		uint16_t vmid = ghvm_get_u16(g);
		uint8_t rights = ghvm_get_u8(g);

		ghvm_get_skip(g, 1);
		if (!g->bad && i < ACL_SHOWN)
			say_rights(t, vmid, rights);
	}
	if (n > ACL_SHOWN)
		say(t, " and %u more", n - ACL_SHOWN);
}

/* ---- messages ---- */

/* u8 type, u8, u8 flags, u8, u32 label, acl, sgl, ... */
static void say_create(struct text *t, struct ghvm_get *g)
{
	uint8_t type = ghvm_get_u8(g), flags;
	uint32_t label;

	ghvm_get_skip(g, 1);
	flags = ghvm_get_u8(g);
	ghvm_get_skip(g, 1);
	label = ghvm_get_u32(g);
	if (g->bad)
		return;
	say(t, "%s label %u", type == MEM_IO ? " io" : "", label);
	say_acl(t, g);
	if (g->bad)
		return;
	say_entries(t, g);
	say(t, "%s%s", flags & CREATE_SANITISE ? " sanitise" : "",
	    flags & CREATE_APPEND ? " more-follow" : "");
}

/* u32 handle, u8 flags, u8[3], sgl */
static void say_append(struct text *t, struct ghvm_get *g)
{
	uint8_t flags;

	say_handle(t, g);
	flags = ghvm_get_u8(g);
	ghvm_get_skip(g, 3);
	say_entries(t, g);
	if (!g->bad && flags & 1)
		say(t, " last");
}

/* u32 handle, u8 flags, ... */
static void say_reclaim(struct text *t, struct ghvm_get *g)
{
	say_handle(t, g);
	if (ghvm_get_u8(g) & 1)
		say(t, " sanitise");
}

/* u32 handle, u8 flags, u8[3], u32 tag, u16 n, u16, n * { u16 vmid, u16 } */
static void say_mem_notify(struct text *t, struct ghvm_get *g)
{
	static const char *const kinds[] = {
		[1] = "shared", [2] = "released", [4] = "accepted", [8] = "recall"
	};
	uint8_t kind;
	uint16_t n;

	say_handle(t, g);
	kind = ghvm_get_u8(g);
	ghvm_get_skip(g, 3);
	if (g->bad)
		return;
	say(t, " ");
	say_name(t, kind < ARRAY_SIZE(kinds) && kinds[kind] ? kinds[kind] : "unknown", kind);
	say_tag(t, g);
	if (kind != 1 && kind != 8)
		return;
	n = ghvm_get_u16(g);
	ghvm_get_skip(g, 2);
	for (unsigned int i = 0; i < n && i < ACL_SHOWN && !g->bad; i++) {
		say_vmid(t, g);
		ghvm_get_skip(g, 2);
	}
}

/* u16 vmid, u8 flags, u8, u32 reason */
static void say_stop(struct text *t, struct ghvm_get *g)
{
	uint32_t reason;

	say_vmid(t, g);
	if (ghvm_get_u8(g) & 1)
		say(t, " force");
	ghvm_get_skip(g, 1);
	reason = ghvm_get_u32(g);
	if (!g->bad)
		say(t, " reason %u", reason);
}

/* u16 vmid, u16 auth, u32 handle, u64 image offset, u64 size, u64 tree offset, u64 size */
static void say_config(struct text *t, struct ghvm_get *g)
{
	uint16_t auth;

	say_vmid(t, g);
	auth = ghvm_get_u16(g);
	say_handle(t, g);
	if (auth)
		say(t, " auth %u", auth);
	say_range(t, g, "image");
	say_range(t, g, "tree");
}

/* u32 n, n * { u8 type, ... }: how many of each kind (abi E) */
static void say_resources(struct text *t, struct ghvm_get *g)
{
	static const char *const kinds[] = {
		"doorbell", "doorbell-source", "msgq-tx", "msgq-rx", "vcpu", "vpm", "virtio-mmio"
	};
	unsigned int counts[ARRAY_SIZE(kinds)] = {};
	uint32_t n = ghvm_get_u32(g);

	if (g->bad)
		return;
	say(t, " %u resources", n);
	for (uint32_t i = 0; i < n && !g->bad; i++) {
		uint8_t type = ghvm_get_u8(g);

		ghvm_get_skip(g, RESOURCE_SIZE - 1);
		if (!g->bad && type < ARRAY_SIZE(kinds))
			counts[type]++;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (counts[i])
			say(t, " %s*%u", kinds[i], counts[i]);
}

/* u32 type of host */
static void say_host_type(struct text *t, struct ghvm_get *g)
{
	uint32_t type = ghvm_get_u32(g);

	if (!g->bad)
		say(t, " type 0x%08x", type);
}

/* u16 vmid, u16 exit type, u32 bytes, bytes */
static void say_exited(struct text *t, struct ghvm_get *g)
{
	uint32_t words;
	uint16_t type;

	say_vmid(t, g);
	type = ghvm_get_u16(g);
	if (g->bad)
		return;
	say(t, " exit ");
	say_name(t, ghvm_exit_type_to_string((enum ghvm_exit_type)type), type);
	words = ghvm_get_u32(g) / 4;
	for (uint32_t i = 0; i < words && i < REASON_SHOWN && !g->bad; i++) {
		uint32_t word = ghvm_get_u32(g);

		if (!g->bad)
			say(t, "%s0x%x", i ? "," : " reason ", word);
	}
}

/* u16 vmid, u16, u8 vm_status, ... */
static void say_status(struct text *t, struct ghvm_get *g)
{
	say_vmid(t, g);
	ghvm_get_skip(g, 2);
	say_state(t, g);
}

/* u32 handle, u8 type, u8 trans, u8 flags, u8, u16 owner, u16, u32 label, u32 tag, ... */
static void say_shared(struct text *t, struct ghvm_get *g)
{
	uint16_t owner;
	uint32_t label;

	say_handle(t, g);
	ghvm_get_skip(g, 4);
	owner = ghvm_get_u16(g);
	ghvm_get_skip(g, 2);
	label = ghvm_get_u32(g);
	if (!g->bad)
		say(t, " owner %u label %u", owner, label);
	say_tag(t, g);
}

/* u32 handle, u16 vmid, u16, u32 tag */
static void say_taken(struct text *t, struct ghvm_get *g)
{
	say_handle(t, g);
	say_vmid(t, g);
	ghvm_get_skip(g, 2);
	say_tag(t, g);
}

/* u32 handle, u32 tag */
static void say_recall(struct text *t, struct ghvm_get *g)
{
	say_handle(t, g);
	say_tag(t, g);
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
	{ GHVM_RM_MEM_NOTIFY, say_mem_notify, NULL },
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
	{ GHVM_RM_VM_HOST_GET_TYPE, NULL, say_host_type },
	{ GHVM_RM_NOTIFY_MEM_SHARED, say_shared, NULL },
	{ GHVM_RM_NOTIFY_MEM_RELEASED, say_taken, NULL },
	{ GHVM_RM_NOTIFY_MEM_ACCEPTED, say_taken, NULL },
	{ GHVM_RM_NOTIFY_MEM_RECALL, say_recall, NULL },
	{ GHVM_RM_NOTIFY_VM_EXITED, say_exited, NULL },
	{ GHVM_RM_NOTIFY_VM_STATUS, say_status, NULL },
};

/* Status of a reply. 0: there is more to be said of it. */
static uint32_t say_outcome(struct text *t, struct ghvm_get *g)
{
	uint32_t status = ghvm_get_u32(g);

	say(t, ": ");
	if (g->bad)
		say(t, "no status");
	else
		say_name(t, ghvm_rm_status_to_string(status), status);
	return status;
}

static void say_details(struct text *t, const struct ghvm_trace_message *m, struct ghvm_get *g)
{
	say_fn fn = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(details); i++)
		if (details[i].id == m->id)
			fn = m->dir == '<' ? details[i].reply : details[i].sent;
	if (fn)
		fn(t, g);
}

void ghvm_trace_to_text(const struct ghvm_trace_message *m, char ret[GHVM_TRACE_TEXT])
{
	const bool cut = m->len > sizeof(m->data);
	struct ghvm_get g = { .buf = m->data, .len = cut ? sizeof(m->data) : m->len };
	struct text t = { .at = ret, .left = GHVM_TRACE_TEXT };
	uint32_t status = 0;

	say(&t, "%c %04x ", m->dir, m->seq);
	say_name(&t, ghvm_rm_message_to_string(m->id), m->id);
	if (m->dir == '<')
		status = say_outcome(&t, &g);
	if (!g.bad && status == 0)
		say_details(&t, m, &g);
	if (g.bad)
		say(&t, cut ? " (cut)" : " (short)");
}
