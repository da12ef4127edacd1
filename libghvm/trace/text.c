/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A trace message as one line of text. Layouts: abi C.5, C.6, C.7.
 *
 * A message may be cut by the trace, or too short; the part that is there is printed.
 */
#include "ghvm/trace.h"

#include "libghvm/base/bits.h"
#include "ghvm/error.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/base/wire.h"

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

static void print(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void print(struct text *t, const char *fmt, ...)
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

/* Print the name, or the number if there is none. */
static void print_name(struct text *t, const char *name, uint32_t number)
{
	if (strcmp(name, "unknown") == 0)
		print(t, "0x%x", number);
	else
		print(t, "%s", name);
}

/* ---- pieces ---- */

/* u16 vmid, ... */
static void print_vmid(struct text *t, struct ghvm_get *g)
{
	uint16_t vmid = ghvm_get_u16(g);

	if (!g->bad)
		print(t, " vmid %u", vmid);
}

/* u32 handle, ... */
static void print_handle(struct text *t, struct ghvm_get *g)
{
	uint32_t handle = ghvm_get_u32(g);

	if (!g->bad)
		print(t, " handle %u", handle);
}

static void print_tag(struct text *t, struct ghvm_get *g)
{
	uint32_t tag = ghvm_get_u32(g);

	if (!g->bad)
		print(t, " tag 0x%x", tag);
}

/* u8 vm_status, ... */
static void print_state(struct text *t, struct ghvm_get *g)
{
	uint8_t state = ghvm_get_u8(g);

	if (g->bad)
		return;
	print(t, " state ");
	print_name(t, ghvm_vm_status_to_string((enum ghvm_vm_status)state), state);
}

/* u16 length, ... */
static void print_length(struct text *t, struct ghvm_get *g)
{
	uint16_t length = ghvm_get_u16(g);

	if (!g->bad)
		print(t, " %u bytes", length);
}

/* u64 offset, u64 size */
static void print_range(struct text *t, struct ghvm_get *g, const char *what)
{
	uint64_t offset = ghvm_get_u64(g);
	uint64_t size = ghvm_get_u64(g);

	if (!g->bad)
		print(t, " %s 0x%" PRIx64 "+0x%" PRIx64, what, offset, size);
}

/* u16 n, u16, n * { u64 ipa, u64 size } */
static void print_entries(struct text *t, struct ghvm_get *g)
{
	uint16_t n = ghvm_get_u16(g);
	uint64_t bytes = 0;

	ghvm_get_skip(g, 2);
	if (g->bad)
		return;
	print(t, " %u entries", n);
	for (unsigned int i = 0; i < n && !g->bad; i++) {
		ghvm_get_skip(g, 8);
		bytes += ghvm_get_u64(g); /* may wrap if the message is malformed */
	}
	print(t, " %s%" PRIu64 " bytes", g->bad ? "at least " : "", bytes);
}

/* " 130 rwx", of X 1, W 2, R 4 */
static void print_rights(struct text *t, uint16_t vmid, uint8_t rights)
{
	print(t, " %u %s%s%s", vmid, rights & 4 ? "r" : "", rights & 2 ? "w" : "",
	      rights & 1 ? "x" : "");
}

/* u16 n, u16, n * { u16 vmid, u8 rights, u8 } */
static void print_acl(struct text *t, struct ghvm_get *g)
{
	uint16_t n = ghvm_get_u16(g);

	ghvm_get_skip(g, 2);
	if (g->bad)
		return;
	print(t, " for");
	for (unsigned int i = 0; i < n && !g->bad; i++) {
		uint16_t vmid = ghvm_get_u16(g);
		uint8_t rights = ghvm_get_u8(g);

		ghvm_get_skip(g, 1);
		if (!g->bad && i < ACL_SHOWN)
			print_rights(t, vmid, rights);
	}
	if (n > ACL_SHOWN)
		print(t, " and %u more", n - ACL_SHOWN);
}

/* ---- messages ---- */

/* u8 type, u8, u8 flags, u8, u32 label, acl, sgl, ... */
static void print_create(struct text *t, struct ghvm_get *g)
{
	uint8_t type = ghvm_get_u8(g), flags;
	uint32_t label;

	ghvm_get_skip(g, 1);
	flags = ghvm_get_u8(g);
	ghvm_get_skip(g, 1);
	label = ghvm_get_u32(g);
	if (g->bad)
		return;
	print(t, "%s label %u", type == MEM_IO ? " io" : "", label);
	print_acl(t, g);
	if (g->bad)
		return;
	print_entries(t, g);
	print(t, "%s%s", flags & CREATE_SANITISE ? " sanitise" : "",
	      flags & CREATE_APPEND ? " more-follow" : "");
}

/* u32 handle, u8 flags, u8[3], sgl */
static void print_append(struct text *t, struct ghvm_get *g)
{
	uint8_t flags;

	print_handle(t, g);
	flags = ghvm_get_u8(g);
	ghvm_get_skip(g, 3);
	print_entries(t, g);
	if (!g->bad && flags & 1)
		print(t, " last");
}

/* u32 handle, u8 flags, ... */
static void print_reclaim(struct text *t, struct ghvm_get *g)
{
	print_handle(t, g);
	if (ghvm_get_u8(g) & 1)
		print(t, " sanitise");
}

/* u32 handle, u8 flags, u8[3], u32 tag, u16 n, u16, n * { u16 vmid, u16 } */
static void print_mem_notify(struct text *t, struct ghvm_get *g)
{
	static const char *const kinds[] = {
		[1] = "shared", [2] = "released", [4] = "accepted", [8] = "recall"
	};
	uint8_t kind;
	uint16_t n;

	print_handle(t, g);
	kind = ghvm_get_u8(g);
	ghvm_get_skip(g, 3);
	if (g->bad)
		return;
	print(t, " ");
	print_name(t, kind < ARRAY_SIZE(kinds) && kinds[kind] ? kinds[kind] : "unknown", kind);
	print_tag(t, g);
	if (kind != 1 && kind != 8)
		return;
	n = ghvm_get_u16(g);
	ghvm_get_skip(g, 2);
	for (unsigned int i = 0; i < n && i < ACL_SHOWN && !g->bad; i++) {
		print_vmid(t, g);
		ghvm_get_skip(g, 2);
	}
}

/* u16 vmid, u8 flags, u8, u32 reason */
static void print_stop(struct text *t, struct ghvm_get *g)
{
	uint32_t reason;

	print_vmid(t, g);
	if (ghvm_get_u8(g) & 1)
		print(t, " force");
	ghvm_get_skip(g, 1);
	reason = ghvm_get_u32(g);
	if (!g->bad)
		print(t, " reason %u", reason);
}

/* u16 vmid, u16 auth, u32 handle, u64 image offset, u64 size, u64 tree offset, u64 size */
static void print_config(struct text *t, struct ghvm_get *g)
{
	uint16_t auth;

	print_vmid(t, g);
	auth = ghvm_get_u16(g);
	print_handle(t, g);
	if (auth)
		print(t, " auth %u", auth);
	print_range(t, g, "image");
	print_range(t, g, "tree");
}

/* u16 vmid, u8 register set, u8 index, u32, u64 value */
static void print_boot_context(struct text *t, struct ghvm_get *g)
{
	static const char *const sets[] = { [GHVM_RM_REGISTER_X] = "x",
					    [GHVM_RM_REGISTER_PC] = "pc",
					    [GHVM_RM_REGISTER_SP] = "sp" };
	uint8_t set, index;
	uint64_t value;

	print_vmid(t, g);
	set = ghvm_get_u8(g);
	index = ghvm_get_u8(g);
	ghvm_get_skip(g, 4);
	value = ghvm_get_u64(g);
	if (g->bad)
		return;
	print(t, " ");
	print_name(t, set < ARRAY_SIZE(sets) ? sets[set] : "unknown", set);
	print(t, " %u 0x%" PRIx64, index, value);
}

/* u16 vmid, u16, u32 range, u64 base, u64 size */
static void print_layout(struct text *t, struct ghvm_get *g)
{
	static const char *const ranges[] = {
		[GHVM_RM_RANGE_IMAGE] = "image", [GHVM_RM_RANGE_FIRMWARE] = "firmware"
	};
	uint32_t range;

	print_vmid(t, g);
	ghvm_get_skip(g, 2);
	range = ghvm_get_u32(g);
	print_range(t, g, range < ARRAY_SIZE(ranges) ? ranges[range] : "unknown");
}

/* u16 vmid, u16, u32 handle, u64 offset, u64 size */
static void print_firmware(struct text *t, struct ghvm_get *g)
{
	print_vmid(t, g);
	ghvm_get_skip(g, 2);
	print_handle(t, g);
	print_range(t, g, "firmware");
}

/* u16 vmid, u16 n, n * { u32 type, u32 value } */
static void print_auth(struct text *t, struct ghvm_get *g)
{
	uint16_t n;

	print_vmid(t, g);
	n = ghvm_get_u16(g);
	for (unsigned int i = 0; i < n && i < ACL_SHOWN && !g->bad; i++) {
		uint32_t type = ghvm_get_u32(g), value = ghvm_get_u32(g);

		if (!g->bad)
			print(t, " parameter %u 0x%x", type, value);
	}
}

/* u32 n, n * { u8 type, ... }: how many of each kind (abi E) */
static void print_resources(struct text *t, struct ghvm_get *g)
{
	static const char *const kinds[] = {
		"doorbell", "doorbell-source", "msgq-tx", "msgq-rx", "vcpu", "vpm", "virtio-mmio"
	};
	unsigned int counts[ARRAY_SIZE(kinds)] = {};
	uint32_t n = ghvm_get_u32(g);

	if (g->bad)
		return;
	print(t, " %u resources", n);
	for (uint32_t i = 0; i < n && !g->bad; i++) {
		uint8_t type = ghvm_get_u8(g);

		ghvm_get_skip(g, RESOURCE_SIZE - 1);
		if (!g->bad && type < ARRAY_SIZE(kinds))
			counts[type]++;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (counts[i])
			print(t, " %s*%u", kinds[i], counts[i]);
}

/* u32 type of host */
static void print_host_type(struct text *t, struct ghvm_get *g)
{
	uint32_t type = ghvm_get_u32(g);

	if (!g->bad)
		print(t, " type 0x%08x", type);
}

/* u16 vmid, u16 exit type, u32 bytes, bytes */
static void print_exited(struct text *t, struct ghvm_get *g)
{
	uint32_t words;
	uint16_t type;

	print_vmid(t, g);
	type = ghvm_get_u16(g);
	if (g->bad)
		return;
	print(t, " exit ");
	print_name(t, ghvm_exit_type_to_string((enum ghvm_exit_type)type), type);
	words = ghvm_get_u32(g) / 4;
	for (uint32_t i = 0; i < words && i < REASON_SHOWN && !g->bad; i++) {
		uint32_t word = ghvm_get_u32(g);

		if (!g->bad)
			print(t, "%s0x%x", i ? "," : " reason ", word);
	}
}

/* u16 vmid, u16, u8 vm_status, ... */
static void print_status(struct text *t, struct ghvm_get *g)
{
	print_vmid(t, g);
	ghvm_get_skip(g, 2);
	print_state(t, g);
}

/* u32 handle, u8 type, u8 trans, u8 flags, u8, u16 owner, u16, u32 label, u32 tag, ... */
static void print_shared(struct text *t, struct ghvm_get *g)
{
	uint16_t owner;
	uint32_t label;

	print_handle(t, g);
	ghvm_get_skip(g, 4);
	owner = ghvm_get_u16(g);
	ghvm_get_skip(g, 2);
	label = ghvm_get_u32(g);
	if (!g->bad)
		print(t, " owner %u label %u", owner, label);
	print_tag(t, g);
}

/* u32 handle, u16 vmid, u16, u32 tag */
static void print_accepted_or_released(struct text *t, struct ghvm_get *g)
{
	print_handle(t, g);
	print_vmid(t, g);
	ghvm_get_skip(g, 2);
	print_tag(t, g);
}

/* u32 handle, u32 tag */
static void print_recall(struct text *t, struct ghvm_get *g)
{
	print_handle(t, g);
	print_tag(t, g);
}

typedef void (*print_fn)(struct text *t, struct ghvm_get *g);

/*
 * @sent: payload of a request or notification; @reply: payload of a reply after its status. NULL:
 *   not decoded
 */
static const struct {
	uint32_t id;
	print_fn sent;
	print_fn reply;
} details[] = {
	{ GHVM_RM_MEM_LEND, print_create, print_handle },
	{ GHVM_RM_MEM_SHARE, print_create, print_handle },
	{ GHVM_RM_MEM_APPEND, print_append, NULL },
	{ GHVM_RM_MEM_RELEASE, print_reclaim, NULL },
	{ GHVM_RM_MEM_RECLAIM, print_reclaim, NULL },
	{ GHVM_RM_MEM_NOTIFY, print_mem_notify, NULL },
	{ GHVM_RM_MEM_LOOKUP_SGL, print_create, print_handle },
	{ GHVM_RM_VM_ALLOCATE, print_vmid, print_vmid },
	{ GHVM_RM_VM_DEALLOCATE, print_vmid, NULL },
	{ GHVM_RM_VM_START, print_vmid, NULL },
	{ GHVM_RM_VM_STOP, print_stop, NULL },
	{ GHVM_RM_VM_RESET, print_vmid, NULL },
	{ GHVM_RM_VM_CONFIG_IMAGE, print_config, NULL },
	{ GHVM_RM_VM_INIT, print_vmid, NULL },
	{ GHVM_RM_VM_GET_STATE, print_vmid, print_state },
	{ GHVM_RM_VM_GET_CRASH_MSG, print_vmid, print_length },
	{ GHVM_RM_VM_GET_HYP_RESOURCES, print_vmid, print_resources },
	{ GHVM_RM_VM_GET_VMID, NULL, print_vmid },
	{ GHVM_RM_VM_SET_BOOT_CONTEXT, print_boot_context, NULL },
	{ GHVM_RM_VM_SET_ADDRESS_LAYOUT, print_layout, NULL },
	{ GHVM_RM_VM_SET_FIRMWARE_MEM, print_firmware, NULL },
	{ GHVM_RM_VM_AUTH_IMAGE, print_auth, NULL },
	{ GHVM_RM_VM_HOST_GET_TYPE, NULL, print_host_type },
	{ GHVM_RM_NOTIFY_MEM_SHARED, print_shared, NULL },
	{ GHVM_RM_NOTIFY_MEM_RELEASED, print_accepted_or_released, NULL },
	{ GHVM_RM_NOTIFY_MEM_ACCEPTED, print_accepted_or_released, NULL },
	{ GHVM_RM_NOTIFY_MEM_RECALL, print_recall, NULL },
	{ GHVM_RM_NOTIFY_VM_EXITED, print_exited, NULL },
	{ GHVM_RM_NOTIFY_VM_STATUS, print_status, NULL },
};

/* Print the status of a reply. Return: the status; the payload follows if it is 0. */
static uint32_t print_outcome(struct text *t, struct ghvm_get *g)
{
	uint32_t status = ghvm_get_u32(g);

	print(t, ": ");
	if (g->bad)
		print(t, "no status");
	else
		print_name(t, ghvm_rm_status_to_string(status), status);
	return status;
}

static void print_details(struct text *t, const struct ghvm_trace_message *m, struct ghvm_get *g)
{
	print_fn fn = NULL;

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

	print(&t, "%c %04x ", m->dir, m->seq);
	print_name(&t, ghvm_rm_message_to_string(m->id), m->id);
	if (m->dir == '<')
		status = print_outcome(&t, &g);
	if (!g.bad && status == 0)
		print_details(&t, m, &g);
	if (g.bad)
		print(&t, cut ? " (cut)" : " (short)");
}
