/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory parcels: taking back.
 *
 * A page is ours when two replies of RM agree that it is, of which one alone may be wrong
 * (parcel.h). What they do not settle stays as it is, or is searched for (parcel-lost.c).
 */
#include "libghvm/parcel-internal.h"

#include <errno.h>
#include <inttypes.h>

#define ASKED_MOST 6 /* times, of one handle */

static bool says(int r, const struct ghvm_error *e, uint32_t status)
{
	return r == -EREMOTEIO && e->rm_message && e->rm_code == status;
}

/**
 * struct asking - what RM has said of a handle so far
 * @given, @unknown: how often: it is yours; there is none such
 * @silent: how often it said nothing that can be read
 */
struct asking {
	unsigned int given;
	unsigned int unknown;
	unsigned int silent;
};

/* 1: it is settled; 0: to be asked again. */
static int take_answer(struct asking *a, int r, const struct ghvm_error *e)
{
	if (r == 0)
		a->given++;
	else if (says(r, e, GHVM_RM_HANDLE_INVALID))
		a->unknown++;
	else if (r == -EREMOTEIO || r == -EHOSTDOWN || a->silent++)
		return r;
	return a->unknown && a->given + a->unknown >= 2;
}

int ghvm_parcel_reclaim_handle(struct ghvm_parcel *p, struct ghvm_parcel_handle handle,
			       bool sanitise, bool *ret_existed, struct ghvm_error *err)
{
	struct asking a = {};

	for (unsigned int i = 0; i < ASKED_MOST; i++) {
		struct ghvm_error e = {};
		int r = ghvm_rm_mem_reclaim(p->rm, handle, sanitise, p->size, &e);

		r = take_answer(&a, r, &e);
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
	(void)ghvm_parcel_note(p, NULL); /* else whoever adopts finds it out as we did */
}

/* By its handle, unless that turns out to be wrong: then it is LOST. */
static int reclaim_named(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_error e = {};
	bool existed = false;
	int r = ghvm_parcel_show(p, err);

	if (r == 0 && ghvm_ledger_doubted(p->ledger, p->entry)) {
		r = ghvm_error_set(err, -EBADMSG, "%s: its handle may be another's",
				   p->config.name);
		ghvm_parcel_lose(p);
	}
	if (r < 0)
		return r;
	r = ghvm_parcel_reclaim_handle(p, p->handle, p->config.lend, &existed, &e);
	if (!p->sure &&
	    ((r == 0 && !existed) || (r == -EREMOTEIO && !says(r, &e, GHVM_RM_MEM_INUSE)))) {
		ghvm_parcel_lose(p);
		r = r < 0 ? r : -EBADMSG;
	}
	if (r < 0 && err)
		*err = e;
	return r;
}

static void reclaimed(struct ghvm_parcel *p)
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
		reclaimed(p);
	return r;
}
