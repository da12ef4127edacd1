/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lost parcels: RM may have pages of this host under an unknown handle.
 *
 * RM executes requests in order and numbers parcels by counting. So the lost handle lies after
 * the last sure handle before the request, and before the handle of a probe parcel created now.
 * All handles in this range that are not in use here are reclaimed. Afterwards the lost parcel is
 * gone; if RM knows none of them, it never existed (decision 28, abi K.6).
 *
 * No single reply decides: each handle is reclaimed until two replies agree, a look-up by pages
 * must give the same handle twice, and RM must find the probe by its page.
 */
#include "libghvm/memory/parcel-internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define CANDIDATES_MAX 4096
#define DEPTH_MAX 2 /* a probe may get lost too */

/* If the list needs more messages, RM has only a part of a parcel lost with the first. */
static bool fits_one_message(const struct ghvm_parcel *p)
{
	return p->n_extents <= ghvm_parcel_message_entries(p);
}

/* Look up by pages: exact, but RM may not find the parcel. */
enum ghvm_parcel_found ghvm_parcel_look_up(struct ghvm_parcel *p, struct ghvm_parcel_handle *ret)
{
	enum ghvm_mem_trans trans = p->config.lend ? GHVM_MEM_LEND : GHVM_MEM_SHARE;
	struct ghvm_error e = {};
	struct ghvm_mem_acl acl[GHVM_PARCEL_ACL_MAX];
	struct ghvm_mem_create m;
	int r;

	if (!fits_one_message(p) || (!p->extents && ghvm_parcel_read_extents(p, NULL) < 0))
		return GHVM_PARCEL_UNKNOWN;
	ghvm_parcel_describe(p, trans, acl, &m);
	r = ghvm_rm_mem_lookup_sgl(p->rm, &m, ret, &e);
	if (r == 0)
		return GHVM_PARCEL_FOUND;
	if (r != -EREMOTEIO || !e.rm_message)
		return GHVM_PARCEL_UNKNOWN;
	switch (e.rm_code) {
	case GHVM_RM_LOOKUP_FAILED:
		return GHVM_PARCEL_ABSENT;
	case GHVM_RM_UNIMPLEMENTED:
		return GHVM_PARCEL_NO_SUCH_QUESTION;
	}
	return GHVM_PARCEL_UNKNOWN;
}

void ghvm_parcel_drop_probe(struct ghvm_parcel *p)
{
	if (!p->probe)
		return;
	ghvm_parcel_done(p->probe);
	free(TAKE_PTR(p->probe));
}

static int guard_probe(struct ghvm_parcel *p, struct ghvm_error *err)
{
	_cleanup_(closep) int memfd = memfd_create("ghvm-probe", MFD_CLOEXEC);
	int r;

	if (memfd < 0 || ftruncate(memfd, GHVM_PAGE) < 0)
		return ghvm_error_set(err, -errno, "probe parcel: no memory: %s", strerror(errno));
	r = ghvm_parcel_pin(p->probe, memfd, GHVM_PAGE, err);
	if (r < 0)
		return r;
	return ghvm_parcel_guard(p->probe, p->vmid, p->incarnation, err);
}

static int make_probe(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_parcel_config config = { .name = "probe",
					     .label = GHVM_LABEL_PROBE,
					     .rights = GHVM_MEM_RW };

	p->probe = calloc(1, sizeof(*p->probe));
	if (!p->probe)
		return ghvm_error_set(err, -ENOMEM, "probe parcel: out of memory");
	memcpy(config.vm_name, p->config.vm_name, sizeof(config.vm_name));
	ghvm_parcel_init(p->probe, p->host, p->rm, p->ledger, &config);
	p->probe->depth = p->depth + 1;
	return guard_probe(p, err);
}

/* Take the probe back. Until then it belongs to the VM; afterwards no tag names its VMID. */
static int recover_probe(struct ghvm_parcel *p, struct ghvm_error *err)
{
	int r;

	if (!p->probe)
		return 0;
	r = ghvm_parcel_reclaim(p->probe, err);
	if (r == 0)
		r = ghvm_parcel_unguard(p->probe, err);
	if (r == 0)
		ghvm_parcel_drop_probe(p);
	return r;
}

/* The probe's handle bounds the search, so RM must confirm it. */
static int check_probe(struct ghvm_parcel *probe, struct ghvm_error *err)
{
	struct ghvm_parcel_handle h;
	int r = ghvm_parcel_show(probe, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (ghvm_parcel_look_up(probe, &h) == GHVM_PARCEL_NO_SUCH_QUESTION)
		return 0; /* this RM cannot confirm it */
	return ghvm_error_set(err, -EBADMSG,
			      "probe parcel: the resource manager called it %" PRIu32
			      ", and now does not find it",
			      probe->handle.id);
}

/* Learn the next handle that RM hands out, by creating a probe parcel. */
static int learn_next_handle(struct ghvm_parcel *p, struct ghvm_parcel_handle *ret,
			     struct ghvm_error *err)
{
	int r = recover_probe(p, err); /* left by an earlier attempt */

	if (r == 0)
		r = make_probe(p, err);
	if (r == 0)
		r = ghvm_parcel_give(p->probe, err);
	if (r == 0)
		r = check_probe(p->probe, err);
	if (r == 0)
		*ret = p->probe->handle;
	if (r < 0) {
		(void)recover_probe(p, NULL); /* on failure the next attempt retries */
		return r;
	}
	return recover_probe(p, err);
}

/*
 * Reclaim a handle in the range. Unless all others are sure it may be one that was lent, and is
 * then sanitised.
 */
static int reclaim_candidate(struct ghvm_parcel *p, struct ghvm_parcel_handle h,
			     struct ghvm_error *err)
{
	const bool sanitise = p->config.lend || !ghvm_ledger_others_sure(p->ledger, p->entry);
	struct ghvm_error e = {};
	bool existed;
	int r = -EREMOTEIO;

	switch (ghvm_ledger_naming(p->ledger, h)) {
	case GHVM_LEDGER_SURE:
		return 0;
	case GHVM_LEDGER_CLAIMED:
		return ghvm_error_set(err, -EBUSY,
				      "%s: its handle may be %" PRIu32
				      ", which another region has until it ends",
				      p->config.name, h.id);
	case GHVM_LEDGER_FREE:
		break;
	}
	for (unsigned int i = 0; i < 2;
	     i++) { /* DENIED means a guest's own parcel; believed if RM says it twice */
		r = ghvm_parcel_reclaim_handle(p, h, sanitise, &existed, &e);
		if (r != -EREMOTEIO || e.rm_code != GHVM_RM_DENIED)
			break;
	}
	if (r == -EREMOTEIO && e.rm_code == GHVM_RM_DENIED)
		return 0;
	if (r < 0 && err)
		*err = e;
	return r;
}

/*
 * Return: 1, RM has found the parcel twice under the same handle and given it back; 0, not found.
 */
static int reclaim_by_content(struct ghvm_parcel *p, enum ghvm_parcel_found *ret_found,
			      struct ghvm_error *err)
{
	struct ghvm_parcel_handle h, again;
	bool existed = false;
	int r;

	*ret_found = ghvm_parcel_look_up(p, &h);
	if (*ret_found != GHVM_PARCEL_FOUND ||
	    ghvm_parcel_look_up(p, &again) != GHVM_PARCEL_FOUND || h.id != again.id)
		return 0;
	ghvm_ledger_dispute(p->ledger, h);
	if (ghvm_ledger_naming(p->ledger, h) == GHVM_LEDGER_SURE)
		return 0;
	r = ghvm_parcel_reclaim_handle(p, h, p->config.lend, &existed, err);
	return r < 0 ? r : existed;
}

static int reclaim_range(struct ghvm_parcel *p, struct ghvm_parcel_handle end,
			 struct ghvm_error *err)
{
	struct ghvm_parcel_handle h = { p->after_known ? p->after.id + 1 : 0 };

	if (end.id - h.id > CANDIDATES_MAX)
		return ghvm_error_set(err, -ENOTUNIQ,
				      "%s: its handle is one of %" PRIu32 ", too many to try",
				      p->config.name, end.id - h.id);
	for (; h.id != end.id; h.id++) {
		int r = reclaim_candidate(p, h, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* True if RM refused to create it, and no other reply contradicts that. */
static bool refused_indeed(const struct ghvm_parcel *p)
{
	return p->refused && !p->unproven;
}

int ghvm_parcel_find_lost(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_parcel_handle end = { GHVM_PARCEL_NONE };
	enum ghvm_parcel_found found;
	struct ghvm_error e = {};
	int r = reclaim_by_content(p, &found, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (found == GHVM_PARCEL_ABSENT && refused_indeed(p))
		return 0;
	if (p->depth == DEPTH_MAX)
		return ghvm_error_set(err, -EBUSY, "%s: this parcel is lost as well",
				      p->config.name);
	r = learn_next_handle(p, &end, &e);
	if (r == -EREMOTEIO && refused_indeed(p) && ghvm_rm_made_nothing(e.rm_message, e.rm_code))
		return 0; /* the refusal of a single page confirms the first one */
	if (r < 0 && err)
		*err = e;
	return r < 0 ? r : reclaim_range(p, end, err);
}
