/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A second VM on the machine of a bench.
 */
#include "tests/fakes/other-vm.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/unit/unit.h"

#include <sys/mman.h>
#include <unistd.h>

#define OTHER_INCARNATION 77

static void lend_or_share_page(struct bench *b, struct other *o, struct ghvm_parcel *p,
			       uint32_t label, bool lend)
{
	const struct ghvm_parcel_config config = { .name = "other",
						   .vm_name = "other",
						   .label = label,
						   .ipa = GHVM_GIB(4) + label * GHVM_PAGE,
						   .lend = lend,
						   .rights =
							   ghvm_parcel_rights(label, lend, false) };
	_cleanup_(closep) int fd = memfd_create("other", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, GHVM_PAGE), 0);
	ghvm_parcel_init(p, &b->f->host, b->rm, &b->ledger, &config);
	assert_int_equal(ghvm_parcel_pin(p, fd, GHVM_PAGE, NULL), 0);
	assert_int_equal(ghvm_parcel_guard(p, o->vmid, OTHER_INCARNATION, NULL), 0);
	assert_int_equal(ghvm_parcel_give(p, NULL), 0);
}

void other_begin(struct bench *b, struct other *o)
{
	*o = (struct other){};
	assert_int_equal(ghvm_rm_vm_allocate(b->rm, &o->vmid, NULL), 0);
	ghvm_ledger_vmid_add(&b->ledger, o->vmid);
	lend_or_share_page(b, o, &o->lent, 1, true);
	assert_int_equal(ghvm_parcel_show(&o->lent, NULL), 1);
	lend_or_share_page(b, o, &o->shared, 2, false);
}

void other_assert_well(struct bench *b, const struct other *o)
{
	assert_int_equal(model_page_owner(b->f->model, o->lent.extents[0].pa), 1);
	assert_int_equal(model_page_owner(b->f->model, o->shared.extents[0].pa), 2);
}

static void take_page_back(struct ghvm_parcel *p)
{
	struct ghvm_error err = {};

	if (ghvm_parcel_reclaim(p, &err) < 0 || ghvm_parcel_unguard(p, &err) < 0)
		fail_msg("other: %s", err.msg);
	ghvm_parcel_done(p);
}

void other_end(struct bench *b, struct other *o)
{
	take_page_back(&o->shared);
	take_page_back(&o->lent);
	assert_int_equal(ghvm_rm_vm_deallocate(b->rm, o->vmid, NULL), 0);
	ghvm_ledger_vmid_remove(&b->ledger, o->vmid);
}

void other_dies(struct other *o)
{
	ghvm_parcel_done(&o->lent);
	ghvm_parcel_done(&o->shared);
}
