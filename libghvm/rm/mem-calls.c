/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parcel messages: checked, then encoded and sent.
 */
#include "libghvm/rm/mem-calls.h"

#include <errno.h>
#include <inttypes.h>

#include "libghvm/base/bits.h"
#include "libghvm/hyp/host.h"
#include "libghvm/rm/rpc.h"

#define CREATE_SANITISE 0x1
#define CREATE_APPEND 0x2
#define APPEND_DONE 0x1
#define RECLAIM_SANITISE 0x1
#define SANITISE_BYTES_PER_S GHVM_MIB(64) /* decision 27 */

/* ---- checks ---- */

static bool rights_valid(uint8_t rights)
{
	return rights >= GHVM_MEM_R && rights <= GHVM_MEM_RWX;
}

static bool acl_has(const struct ghvm_mem_create *m, size_t n, struct ghvm_vmid vmid)
{
	for (size_t i = 0; i < n; i++)
		if (m->acl[i].vmid.id == vmid.id)
			return true;
	return false;
}

static int check_acl(const struct ghvm_rm *rm, const struct ghvm_mem_create *m,
		     struct ghvm_error *err)
{
	bool with_us;

	if (!m->n_acl || m->n_acl > GHVM_RM_MEM_ACL_MAX)
		return ghvm_error_set(err, -EINVAL, "label %u: %zu VMs in its ACL, not 1 to %d",
				      m->label, m->n_acl, GHVM_RM_MEM_ACL_MAX);
	for (size_t i = 0; i < m->n_acl; i++) {
		if (!m->acl[i].vmid.id || acl_has(m, i, m->acl[i].vmid))
			return ghvm_error_set(err, -EINVAL,
					      "label %u: VMID %u is 0, or twice in its ACL",
					      m->label, m->acl[i].vmid.id);
		if (!rights_valid(m->acl[i].rights) ||
		    (m->type == GHVM_MEM_IO && m->acl[i].rights & GHVM_MEM_RX & ~GHVM_MEM_R))
			return ghvm_error_set(err, -EINVAL, "label %u: VM %u cannot have rights %u",
					      m->label, m->acl[i].vmid.id, m->acl[i].rights);
	}
	with_us = acl_has(m, m->n_acl, ghvm_rm_vmid(rm));
	if (with_us != (m->trans == GHVM_MEM_SHARE))
		return ghvm_error_set(err, -EINVAL, "label %u: %s", m->label,
				      with_us ? "memory to lend must not have the host in its ACL"
					      : "memory to share must have the host in its ACL");
	return 0;
}

static int check_extents(const struct ghvm_extent *v, size_t n, size_t max, struct ghvm_error *err)
{
	if (!n || n > max)
		return ghvm_error_set(err, -EINVAL, "%zu entries, not 1 to %zu", n, max);
	for (size_t i = 0; i < n; i++)
		if (!v[i].length || !ghvm_aligned(v[i].length, GHVM_PAGE) ||
		    !ghvm_aligned(v[i].pa, GHVM_PAGE) || v[i].length - 1 > UINT64_MAX - v[i].pa)
			return ghvm_error_set(err, -EINVAL,
					      "entry %zu (%#llx bytes at %#llx) is not whole pages",
					      i, v[i].length, v[i].pa);
	return 0;
}

static int check_create(const struct ghvm_rm *rm, const struct ghvm_mem_create *m,
			size_t max_extents, struct ghvm_error *err)
{
	int r;

	if (m->type != GHVM_MEM_NORMAL && m->type != GHVM_MEM_IO)
		return ghvm_error_set(err, -EINVAL, "label %u: unknown memory type", m->label);
	if (m->sanitise && m->type == GHVM_MEM_IO)
		return ghvm_error_set(err, -EINVAL, "label %u: I/O memory cannot be zeroed",
				      m->label);
	r = check_acl(rm, m, err);
	return r < 0 ? r : check_extents(m->extents, m->n_extents, max_extents, err);
}

/* ---- lists ---- */

/* u16 n, u16 0, n * { u16 vmid, u8 rights, u8 0 } */
static void put_acl(struct ghvm_put *w, const struct ghvm_mem_acl *v, size_t n)
{
	ghvm_put_u16(w, (uint16_t)n);
	ghvm_put_zero(w, 2);
	for (size_t i = 0; i < n; i++) {
		ghvm_put_u16(w, v[i].vmid.id);
		ghvm_put_u8(w, v[i].rights);
		ghvm_put_zero(w, 1);
	}
}

/* u16 n, u16 0, n * { u64 address, u64 size } */
static void put_extents(struct ghvm_put *w, const struct ghvm_extent *v, size_t n)
{
	ghvm_put_u16(w, (uint16_t)n);
	ghvm_put_zero(w, 2);
	for (size_t i = 0; i < n; i++) {
		ghvm_put_u64(w, v[i].pa);
		ghvm_put_u64(w, v[i].length);
	}
}

static uint64_t bytes_of(const struct ghvm_mem_create *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_extents; i++)
		if (__builtin_add_overflow(sum, m->extents[i].length, &sum))
			return UINT64_MAX;
	return sum;
}

/* ---- calls ---- */

/* Call with a handle as its reply. @what: verb for error messages. */
static int handle_call(struct ghvm_rm *rm, uint32_t id, const char *what,
		       const struct ghvm_mem_create *m, const struct ghvm_put *w,
		       struct ghvm_parcel_handle *ret, struct ghvm_error *err)
{
	uint64_t kib = bytes_of(m) / GHVM_KIB(1);
	struct ghvm_error e;
	struct ghvm_get g;
	uint32_t handle;
	int r;

	r = ghvm_rm_call(rm, id, w, &g, &e);
	if (r == -EREMOTEIO)
		return ghvm_error_set_rm(err, id, e.rm_code,
					 "%s memory of label %u (%" PRIu64 " KiB, %zu entries)",
					 what, m->label, kib, m->n_extents);
	if (r < 0)
		return ghvm_error_set_unanswered(err, id, r, "cannot %s memory of label %u: %s",
						 what, m->label, e.msg);

	handle = ghvm_get_u32(&g);
	if (ghvm_get_end(&g) < 0 || handle == GHVM_PARCEL_NONE)
		return ghvm_error_set_unanswered(err, id, -EBADMSG,
						 "label %u: malformed reply to %s", m->label,
						 ghvm_rm_message_to_string(id));
	*ret = (struct ghvm_parcel_handle){ handle };
	return 0;
}

/* Call with an empty reply. @what: verb for error messages. */
static int parcel_call(struct ghvm_rm *rm, uint32_t id, unsigned int extra_ms, const char *what,
		       struct ghvm_parcel_handle handle, const struct ghvm_put *w,
		       struct ghvm_error *err)
{
	struct ghvm_error e;
	struct ghvm_get g;
	int r;

	r = ghvm_rm_call_slow(rm, id, extra_ms, w, &g, &e);
	if (r == -EREMOTEIO)
		return ghvm_error_set_rm(err, id, e.rm_code, "%s parcel %u", what, handle.id);
	if (r < 0)
		return ghvm_error_set_unanswered(err, id, r, "cannot %s parcel %u: %s", what,
						 handle.id, e.msg);
	if (ghvm_get_end(&g) < 0)
		return ghvm_error_set_unanswered(err, id, -EBADMSG,
						 "parcel %u: malformed reply to %s", handle.id,
						 ghvm_rm_message_to_string(id));
	return 0;
}

/*
 * u8 type, u8 0, u8 flags, u8 0, u32 label, acl, extents, u16 0, u16 0 -> u32 handle
 * The last list, of attributes, is empty: RM requires that of an image parcel.
 */
int ghvm_rm_mem_create(struct ghvm_rm *rm, const struct ghvm_mem_create *m,
		       struct ghvm_parcel_handle *ret, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	bool lend = m->trans == GHVM_MEM_LEND;
	int r;

	r = check_create(rm, m, GHVM_RM_MEM_ENTRIES_MAX, err);
	if (r < 0)
		return r;
	ghvm_put_u8(&w, (uint8_t)m->type);
	ghvm_put_zero(&w, 1);
	ghvm_put_u8(&w, (m->sanitise ? CREATE_SANITISE : 0) | (m->append ? CREATE_APPEND : 0));
	ghvm_put_zero(&w, 1);
	ghvm_put_u32(&w, m->label);
	put_acl(&w, m->acl, m->n_acl);
	put_extents(&w, m->extents, m->n_extents);
	ghvm_put_zero(&w, 4);
	return handle_call(rm, lend ? GHVM_RM_MEM_LEND : GHVM_RM_MEM_SHARE, lend ? "lend" : "share",
			   m, &w, ret, err);
}

/* u32 handle, u8 flags, u8 0 * 3, extents -> nothing */
int ghvm_rm_mem_append(struct ghvm_rm *rm, struct ghvm_parcel_handle handle,
		       const struct ghvm_extent *extents, size_t n_extents, bool done,
		       struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int r;

	r = check_extents(extents, n_extents, GHVM_RM_MEM_ENTRIES_MAX, err);
	if (r < 0)
		return r;
	ghvm_put_u32(&w, handle.id);
	ghvm_put_u8(&w, done ? APPEND_DONE : 0);
	ghvm_put_zero(&w, 3);
	put_extents(&w, extents, n_extents);
	return parcel_call(rm, GHVM_RM_MEM_APPEND, 0, "append to", handle, &w, err);
}

/* One second for each started 64 MiB. */
static unsigned int sanitise_ms(uint64_t bytes)
{
	uint64_t s = bytes / SANITISE_BYTES_PER_S + (bytes % SANITISE_BYTES_PER_S != 0);

	return s < UINT32_MAX / 1000 ? (unsigned int)s * 1000 : UINT32_MAX;
}

/* u32 handle, u8 flags, u8 0 * 3 -> nothing */
int ghvm_rm_mem_reclaim(struct ghvm_rm *rm, struct ghvm_parcel_handle handle, bool sanitise,
			uint64_t bytes, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, handle.id);
	ghvm_put_u8(&w, sanitise ? RECLAIM_SANITISE : 0);
	ghvm_put_zero(&w, 3);
	return parcel_call(rm, GHVM_RM_MEM_RECLAIM, sanitise ? sanitise_ms(bytes) : 0, "reclaim",
			   handle, &w, err);
}

/* u8 type, u8 0 * 3, u32 label, acl, extents, u16 0, u16 0 -> u32 handle */
int ghvm_rm_mem_lookup_sgl(struct ghvm_rm *rm, const struct ghvm_mem_create *m,
			   struct ghvm_parcel_handle *ret, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int r;

	r = check_create(rm, m, GHVM_RM_MEM_LOOKUP_MAX, err);
	if (r < 0)
		return r;
	ghvm_put_u8(&w, (uint8_t)m->type);
	ghvm_put_zero(&w, 3);
	ghvm_put_u32(&w, m->label);
	put_acl(&w, m->acl, m->n_acl);
	put_extents(&w, m->extents, m->n_extents);
	ghvm_put_zero(&w, 4);
	return handle_call(rm, GHVM_RM_MEM_LOOKUP_SGL, "look up", m, &w, ret, err);
}

/* u32 handle, u8 flags, u8 0 * 3, u32 tag, u16 1, u16 0, u16 vmid, u16 0 -> nothing */
int ghvm_rm_mem_notify(struct ghvm_rm *rm, struct ghvm_parcel_handle handle,
		       enum ghvm_mem_notify what, uint32_t tag, struct ghvm_vmid vmid,
		       struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	if (what != GHVM_MEM_NOTIFY_SHARED && what != GHVM_MEM_NOTIFY_RECALL)
		return ghvm_error_set(err, -EINVAL,
				      "parcel %u: its owner cannot send this notification",
				      handle.id);
	if (!ghvm_rm_fact(rm, vmid, GHVM_RM_FACT_LINKED))
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "VM %u has no link to the resource manager, so it cannot be "
				      "told of parcel %u",
				      vmid.id, handle.id);
	ghvm_put_u32(&w, handle.id);
	ghvm_put_u8(&w, (uint8_t)what);
	ghvm_put_zero(&w, 3);
	ghvm_put_u32(&w, tag);
	ghvm_put_u16(&w, 1);
	ghvm_put_zero(&w, 2);
	ghvm_put_u16(&w, vmid.id);
	ghvm_put_zero(&w, 2);
	return parcel_call(rm, GHVM_RM_MEM_NOTIFY, 0,
			   what == GHVM_MEM_NOTIFY_SHARED ? "announce" : "recall", handle, &w, err);
}

/* u32 handle, u16 vmid, u16 0, u32 tag */
int ghvm_rm_mem_decode_event(const struct ghvm_rm_notification *n, struct ghvm_rm_mem_event *ret)
{
	struct ghvm_rm_mem_event e = { .accepted = n->id == GHVM_RM_NOTIFY_MEM_ACCEPTED };
	struct ghvm_get g = n->payload;

	if (!e.accepted && n->id != GHVM_RM_NOTIFY_MEM_RELEASED)
		return -ENOMSG;
	e.handle = (struct ghvm_parcel_handle){ ghvm_get_u32(&g) };
	e.vmid = (struct ghvm_vmid){ ghvm_get_u16(&g) };
	ghvm_get_skip(&g, 2);
	e.tag = ghvm_get_u32(&g);
	if (ghvm_get_end(&g) < 0)
		return -EBADMSG;
	*ret = e;
	return 0;
}
