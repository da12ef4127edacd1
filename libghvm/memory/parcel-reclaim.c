/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory parcels: taking back.
 *
 * A page is the host's when two replies of RM agree (parcel.h); a single one may be wrong. If
 * they do not agree the state stays as it is, or the parcel is searched for (parcel-lost.c).
 */
#include "libghvm/memory/parcel-internal.h"

#include <errno.h>
#include <inttypes.h>

#define RECLAIMS_MAX 6 /* attempts per handle */

static bool is_refusal(int r, const struct ghvm_error *e, uint32_t status)
{
	return r == -EREMOTEIO && e->rm_message && e->rm_code == status;
}

/**
 * struct asking - RM's replies for one handle so far
 * @given: number of successful RECLAIMs; @unknown: number of HANDLE_INVALIDs
 * @silent: number of missing or malformed replies
 */
struct asking {
	unsigned int given;
	unsigned int unknown;
	unsigned int silent;
};

/* Return: 1, settled; 0, ask again; negative errno, a refusal or no connection. */
static int count_answer(struct asking *a, int r, const struct ghvm_error *e)
{
	if (r == 0)
		a->given++;
	else if (is_refusal(r, e, GHVM_RM_HANDLE_INVALID))
		a->unknown++;
	else if (r == -EREMOTEIO || r == -EHOSTDOWN || a->silent++)
		return r;
	return a->unknown && a->given + a->unknown >= 2;
}

int ghvm_parcel_reclaim_handle(struct ghvm_parcel *p, struct ghvm_parcel_handle handle,
			       bool sanitise, bool *ret_existed, struct ghvm_error *err)
{
	struct asking a = {};

	for (unsigned int i = 0; i < RECLAIMS_MAX; i++) {
		struct ghvm_error e = {};
		int r = ghvm_rm_mem_reclaim(p->rm, handle, sanitise, p->size, &e);

		r = count_answer(&a, r, &e);
		if (r < 0 && err)
			*err = e;
		if (r < 0)
			return r;
		*ret_existed = a.given > 0;
		if (r > 0)
			return 0;
	}
	return ghvm_error_set(err, -EBADMSG,
			      "%s: the resource manager gives parcel %" PRIu32
			      " back again and again",
			      p->config.name, handle.id);
}

void ghvm_parcel_lose(struct ghvm_parcel *p)
{
	ghvm_ledger_unname(p->ledger, p->entry);
	p->handle.id = GHVM_PARCEL_NONE;
	p->sure = p->refused = false;
	p->state = GHVM_PARCEL_LOST;
	(void)ghvm_parcel_note(p, NULL); /* else an adopter finds out by itself */
}

/* Reclaim by handle. If the handle proves wrong the parcel becomes LOST. */
static int reclaim_named(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_error e = {};
	bool existed = false;
	int r = ghvm_parcel_show(p, err);

	if (r == 0 && ghvm_ledger_doubted(p->ledger, p->entry)) {
		r = ghvm_error_set(err, -EBADMSG, "%s: its handle may be that of another parcel",
				   p->config.name);
		ghvm_parcel_lose(p);
	}
	if (r < 0)
		return r;
	r = ghvm_parcel_reclaim_handle(p, p->handle, p->config.lend, &existed, &e);
	if (!p->sure &&
	    ((r == 0 && !existed) || (r == -EREMOTEIO && !is_refusal(r, &e, GHVM_RM_MEM_INUSE)))) {
		ghvm_parcel_lose(p);
		r = r < 0 ? r : -EBADMSG;
	}
	if (r < 0 && err)
		*err = e;
	return r;
}

static void mark_reclaimed(struct ghvm_parcel *p)
{
	ghvm_ledger_unname(p->ledger, p->entry);
	p->handle.id = GHVM_PARCEL_NONE;
	p->sure = p->refused = p->unproven = false;
	p->state = GHVM_PARCEL_GUARDED;
}

int ghvm_parcel_reclaim(struct ghvm_parcel *p, struct ghvm_error *err)
{
	int r = 0;

	if (p->state <= GHVM_PARCEL_GUARDED)
		return 0;
	if (p->state != GHVM_PARCEL_LOST)
		r = reclaim_named(p, err);
	if (p->state == GHVM_PARCEL_LOST)
		r = ghvm_parcel_find_lost(p, err);
	if (r == 0)
		mark_reclaimed(p);
	return r;
}
