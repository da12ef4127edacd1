/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lost parcels: RM may have our pages under a handle that nobody told us.
 *
 * RM executes requests in order and numbers parcels by counting, so the handle lies after
 * the last that was seen before the request and before the one of a probe parcel that is
 * made now. Of these, all that nobody else here has are reclaimed: whichever was
 * ours is gone then, and if all are unknown there was none (DECISIONS 28, abi K.6).
 */
#include "libghvm/parcel-internal.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/layout.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define CANDIDATES_MAX 4096
#define DEPTH_MAX 2 /* a probe may be lost in its turn, but not for ever */

/* By content, which needs no counting: exact, but RM may not find it. 1: found; 0: not. */
static int look_up(struct ghvm_parcel *p, struct ghvm_parcel_handle *ret)
{
	enum ghvm_mem_trans trans = p->config.lend ? GHVM_MEM_LEND : GHVM_MEM_SHARE;
	struct ghvm_mem_acl acl[2];
	struct ghvm_mem_create m;

	if (p->n_extents >
	    ghvm_parcel_message_entries(p)) /* lost with its first message: incomplete */
		return 0;
	if (!p->extents && ghvm_parcel_read_extents(p, NULL) < 0)
		return 0;
	ghvm_parcel_describe(p, trans, acl, &m);
	return ghvm_rm_mem_lookup_sgl(p->rm, &m, ret, NULL) == 0;
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
		return ghvm_error_set(err, -errno, "probe: no memory: %s", strerror(errno));
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
		return ghvm_error_set(err, -ENOMEM, "probe: out of memory");
	memcpy(config.vm_name, p->config.vm_name, sizeof(config.vm_name));
	ghvm_parcel_init(p->probe, p->host, p->rm, p->ledger, &config);
	p->probe->depth = p->depth + 1;
	return guard_probe(p, err);
}

/* The probe is the VM's as well until it is back: then nothing names its VMID any more. */
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

/* The handle that RM gives out now. */
static int probe_counter(struct ghvm_parcel *p, struct ghvm_parcel_handle *ret,
			 struct ghvm_error *err)
{
	int r = recover_probe(p, err); /* of an earlier attempt */

	if (r == 0)
		r = make_probe(p, err);
	if (r == 0)
		r = ghvm_parcel_give(p->probe, err);
	if (r == 0)
		*ret = p->probe->handle;
	if (r < 0) {
		(void)recover_probe(p, NULL); /* else by the next attempt */
		return r;
	}
	return recover_probe(p, err);
}

static int reclaim_candidate(struct ghvm_parcel *p, struct ghvm_parcel_handle h,
			     struct ghvm_error *err)
{
	struct ghvm_error e = {};
	int r;

	if (ghvm_ledger_named(p->ledger, h))
		return 0;
	r = ghvm_parcel_reclaim_handle(p, h, p->config.lend, &e);
	if (r == -EREMOTEIO && e.rm_code == GHVM_RM_DENIED)
		return 0; /* a guest's own parcel */
	if (r < 0 && err)
		*err = e;
	return r;
}

int ghvm_parcel_find_lost(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_parcel_handle h, end = { GHVM_PARCEL_NONE };
	int r;

	p->maybe_gone = true; /* most candidates do not exist */
	if (look_up(p, &h) > 0)
		return ghvm_parcel_reclaim_handle(p, h, p->config.lend, err);
	if (p->depth == DEPTH_MAX)
		return ghvm_error_set(err, -EBUSY, "%s: lost as well", p->config.name);
	r = probe_counter(p, &end, err);
	if (r < 0)
		return r;

	h.id = p->after_known ? p->after.id + 1 : 0;
	if (end.id - h.id > CANDIDATES_MAX)
		return ghvm_error_set(err, -ENOTUNIQ,
				      "%s: its handle is one of %" PRIu32 ", too many to try",
				      p->config.name, end.id - h.id);
	for (; h.id != end.id; h.id++) {
		r = reclaim_candidate(p, h, err);
		if (r < 0)
			return r;
	}
	return 0;
}
