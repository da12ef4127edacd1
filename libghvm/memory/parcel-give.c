/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory parcels: lend or share.
 *
 * The state changes before a request that may give pages away. It changes back only when RM's
 * answers prove that the host has them.
 */
#include "libghvm/memory/parcel-internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

size_t ghvm_parcel_message_entries(const struct ghvm_parcel *p)
{
	return ghvm_quirk(p->ledger->quirks, GHVM_QUIRK_MESSAGE_ENTRIES);
}

void ghvm_parcel_describe(const struct ghvm_parcel *p, enum ghvm_mem_trans trans,
			  struct ghvm_mem_acl acl[GHVM_PARCEL_ACL_MAX], struct ghvm_mem_create *ret)
{
	size_t n = 0;

	acl[n++] = (struct ghvm_mem_acl){ p->vmid, p->config.rights };
	if (p->with.id)
		acl[n++] = (struct ghvm_mem_acl){ p->with, p->with_rights };
	if (trans == GHVM_MEM_SHARE)
		acl[n++] = (struct ghvm_mem_acl){ ghvm_rm_vmid(p->rm), GHVM_MEM_RWX };
	*ret = (struct ghvm_mem_create){
		.trans = trans,
		.type = GHVM_MEM_NORMAL,
		.label = p->config.label,
		.acl = acl,
		.n_acl = n,
		.extents = p->extents,
		.n_extents = p->n_extents,
	};
}

/* confirming a handle */

static void confirm_handle(struct ghvm_parcel *p, bool by_content)
{
	if (p->sure || p->state <= GHVM_PARCEL_LOST)
		return;
	p->sure = ghvm_ledger_confirm(p->ledger, p->entry, by_content);
	if (p->sure)
		(void)ghvm_parcel_note(p, NULL); /* else an adopter has to search */
}

void ghvm_parcel_confirm(struct ghvm_parcel *p)
{
	confirm_handle(p, false);
}

int ghvm_parcel_show(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_parcel_handle h;

	if (p->sure)
		return 1;
	if (ghvm_parcel_look_up(p, &h) != GHVM_PARCEL_FOUND)
		return 0;
	if (h.id == p->handle.id) {
		confirm_handle(p, true);
		return 1;
	}
	(void)ghvm_error_set(err, -EBADMSG,
			     "%s: the resource manager has called it parcel %" PRIu32
			     ", and now calls it %" PRIu32,
			     p->config.name, p->handle.id, h.id);
	ghvm_parcel_lose(p);
	return -EBADMSG;
}

/* giving */

/* RM has created a parcel. The reported handle may be wrong. */
static int record_handle(struct ghvm_parcel *p, struct ghvm_parcel_handle h, struct ghvm_error *err)
{
	p->handle = h;
	if (ghvm_ledger_claim(p->ledger, p->entry, h)) {
		p->state = GHVM_PARCEL_PARTIAL;
		return 0;
	}
	(void)ghvm_parcel_note(p, NULL); /* an adopter distrusts a handle in two tags */
	return ghvm_error_set(err, -EBADMSG,
			      "%s: the resource manager calls it parcel %" PRIu32
			      ", as it called another one",
			      p->config.name, h.id);
}

/* True if the request never left: the codec refused it, or RM is known to be dead. */
static bool never_sent(int r, const struct ghvm_error *e)
{
	return r == -EHOSTDOWN || (r < 0 && !e->rm_message);
}

static int create_parcel(struct ghvm_parcel *p, const struct ghvm_mem_create *m,
			 struct ghvm_error *err)
{
	struct ghvm_parcel_handle h;
	struct ghvm_error e = {};
	int r;

	ghvm_ledger_numbering_begin(p->ledger);
	if (!p->unproven)
		p->after_known = ghvm_ledger_last(p->ledger, &p->after);
	p->state = GHVM_PARCEL_LOST;
	p->sure = p->refused = false;
	r = ghvm_rm_mem_create(p->rm, m, &h, &e);
	if (r == 0)
		r = record_handle(p, h, &e);
	else if (never_sent(r, &e) && !p->unproven)
		p->state = GHVM_PARCEL_GUARDED;
	else if (r == -EREMOTEIO && e.rm_message)
		p->refused = ghvm_rm_made_nothing(e.rm_message, e.rm_code);
	ghvm_ledger_numbering_end(p->ledger);
	if (r < 0 && err)
		*err = e;
	return r;
}

/* How many of @n entries the next message has, when @at have been sent. */
/*@
  requires at < n && most > 0;
  assigns \nothing;
  ensures 0 < \result <= most && at + \result <= n;
  ensures \result == most || at + \result == n;
*/
static size_t next_entries(size_t n, size_t at, size_t most)
{
	return n - at < most ? n - at : most;
}

/* Send the extents that did not fit into the first message. */
static int append_rest(struct ghvm_parcel *p, struct ghvm_error *err)
{
	const size_t most = ghvm_parcel_message_entries(p);
	size_t at = most;

	while (at < p->n_extents) {
		size_t n = next_entries(p->n_extents, at, most);
		bool last = at + n == p->n_extents;
		int r = ghvm_rm_mem_append(p->rm, p->handle, p->extents + at, n, last, err);

		if (r < 0)
			return r;
		ghvm_parcel_confirm(p);
		at += n;
	}
	return 0;
}

static int create_and_append(struct ghvm_parcel *p, enum ghvm_mem_trans trans,
			     struct ghvm_error *err)
{
	struct ghvm_mem_acl acl[GHVM_PARCEL_ACL_MAX];
	struct ghvm_mem_create m;
	int r;

	ghvm_parcel_describe(p, trans, acl, &m);
	if (m.n_extents > ghvm_parcel_message_entries(p)) {
		m.n_extents = ghvm_parcel_message_entries(p);
		m.append = true;
	}
	r = p->tag_named ? ghvm_parcel_note(p, err) : 0; /* drop the old handle from the tag */
	if (r < 0)
		return r;
	r = create_parcel(p, &m, err);
	if (r < 0)
		return r;
	r = ghvm_parcel_note(p, err);
	if (r < 0)
		return r;
	return append_rest(p, err);
}

/* On failure the pages may stay assigned in the firmware: ghvm_parcel_unguard() takes them back. */
static int assign_and_create(struct ghvm_parcel *p, enum ghvm_mem_trans trans,
			     struct ghvm_error *err)
{
	int r = ghvm_parcel_assign(p, trans, err);

	return r < 0 ? r : create_and_append(p, trans, err);
}

/* RECLAIM; without an answer, repeat it: then HANDLE_INVALID means that it was done. */
static int reclaim_shared(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_error e = {};
	int r = ghvm_rm_mem_reclaim(p->rm, p->handle, false, p->size,
				    &e); /* not sanitised: it holds the images */

	if (r < 0 && r != -EREMOTEIO && r != -EHOSTDOWN) {
		r = ghvm_rm_mem_reclaim(p->rm, p->handle, false, p->size, &e);
		if (r == -EREMOTEIO && e.rm_code == GHVM_RM_HANDLE_INVALID)
			r = 0;
	}
	if (r < 0 && err)
		*err = e;
	return r;
}

/*
 * RM splits large blocks of the host's address space for a SHARE, but not for a LEND (abi K.3).
 * The following LEND proves that the shared parcel is gone: RM refuses it while it has the pages.
 * Until then the state says that RM may have them, also if the firmware gives them back before.
 */
static int split_blocks(struct ghvm_parcel *p, struct ghvm_error *err)
{
	int r = assign_and_create(p, GHVM_MEM_SHARE, err);

	if (r == 0)
		r = reclaim_shared(p, err);
	if (r < 0)
		return r;
	ghvm_ledger_unname(p->ledger, p->entry);
	p->handle.id = GHVM_PARCEL_NONE;
	p->sure = false;
	p->unproven = true;
	p->state = GHVM_PARCEL_LOST;
	return ghvm_parcel_unassign(p, err);
}

int ghvm_parcel_give(struct ghvm_parcel *p, struct ghvm_error *err)
{
	enum ghvm_mem_trans trans = p->config.lend ? GHVM_MEM_LEND : GHVM_MEM_SHARE;
	int r = 0;

	assert(p->state == GHVM_PARCEL_GUARDED);
	if (!p->extents) /* adopted parcels have none yet */
		r = ghvm_parcel_read_extents(p, err);
	if (r == 0 && p->config.lend && p->config.presplit)
		r = split_blocks(p, err);
	if (r == 0)
		r = assign_and_create(p, trans, err);
	if (r == 0) {
		p->unproven = false;
		p->state = p->config.lend ? GHVM_PARCEL_LENT : GHVM_PARCEL_SHARED;
	} else {
		(void)ghvm_parcel_reclaim(p, NULL); /* on failure the state tells */
	}
	return r;
}
