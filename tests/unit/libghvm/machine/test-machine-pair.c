/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A region of two guests: which machine has its pages and its second VMID, in each order of start and stop.
 */
#include "ghvm/transaction.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/hyp/host.h"
#include "libghvm/machine/internal.h"
#include "libghvm/machine/pair.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static const struct bench_options options = {
	.host = { .ram_size = GHVM_MIB(4) },
	.demo = { .memory = 0x90000, .window = true },
	.pair = true,
};

static void must(int r, const struct ghvm_error *err)
{
	if (r < 0)
		fail_msg("%s", err->msg);
}

static void build_first(struct bench *b)
{
	struct ghvm_error err = {};

	bench_init(b, &options);
	must(ghvm_machine_build(b->m, &b->demo.files, NULL, &err), &err);
}

static void start_both(struct bench *b)
{
	struct ghvm_error err = {};

	build_first(b);
	must(bench_join(b, &err), &err);
	must(ghvm_machine_start(b->m, &err), &err);
	must(ghvm_machine_start(b->peer, &err), &err);
}

static void end_both(struct bench *b)
{
	struct ghvm_error err = {};

	must(bench_teardown(b, &err), &err);
	bench_assert_clean(b);
	bench_done(b);
}

static unsigned int state_of(struct bench *b, struct ghvm_vmid vmid)
{
	enum ghvm_vm_status status;

	assert_int_equal(ghvm_machine_ask(b->m, vmid, &status, NULL), 0);
	return status;
}

static unsigned int count_sent(const struct bench *b, size_t from, uint32_t id)
{
	unsigned int n = 0;

	for (size_t i = from; i < b->f->n_sent; i++)
		n += b->f->sent[i] == id;
	return n;
}

/* ---- starts ---- */

static void first_machine_makes_the_parcel(void **state)
{
	struct ghvm_machine_region v[4];
	struct ghvm_error err = {};
	struct ghvm_vmid peer;
	struct bench b;

	build_first(&b);
	peer = ghvm_machine_peer(b.m);
	assert_int_not_equal(peer.id, 0);
	assert_int_equal(state_of(&b, peer), GHVM_VM_LOAD);
	assert_int_equal(fake_rm_counts(b.f).parcels, 2);
	must(bench_join(&b, &err), &err);
	assert_int_equal(ghvm_machine_vmid(b.peer).id, peer.id);
	assert_int_equal(fake_rm_counts(b.f).vms, 2);
	assert_int_equal(fake_rm_counts(b.f).parcels, 3); /* two of RAM */
	assert_int_equal(ghvm_machine_pages_shared(b.m), 4);
	assert_int_equal(ghvm_machine_pages_shared(b.peer), 0);
	assert_int_equal(ghvm_machine_regions(b.peer, v, 4),
			 2); /* it has the region all the same */
	must(ghvm_machine_start(b.peer, &err), &err);
	end_both(&b);
}

/* The guest that runs alone can stop, and nothing was ever shared with the other. */
static void second_guest_need_not_start(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	build_first(&b);
	must(ghvm_machine_start(b.m, &err), &err);
	end_both(&b);
}

static void failed_join_keeps_the_reservation(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	build_first(&b);
	model_refuse(b.f->model, GHVM_RM_MEM_LEND, GHVM_RM_NOMEM, 0);
	assert_true(bench_join(&b, &err) < 0);
	assert_int_equal(state_of(&b, ghvm_machine_peer(b.m)), GHVM_VM_LOAD);
	must(bench_join(&b, &err), &err);
	end_both(&b);
}

/* The second VMID has been configured, so that it can serve no other start. */
static void second_guest_starts_once(void **state)
{
	struct ghvm_error err = {};
	struct ghvm_vmid peer;
	struct bench b;

	start_both(&b);
	peer = ghvm_machine_vmid(b.peer);
	must(ghvm_machine_teardown(b.peer, &err), &err);
	assert_int_equal(state_of(&b, peer), GHVM_VM_RESET); /* RM would give it to another VM */
	assert_int_equal(bench_join(&b, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "stop the other VM, too"));
	end_both(&b);
}

static void guests_with_other_rights(void **state)
{
	const struct ghvm_machine_pair pair = { .readonly = { DEMO_WINDOW_LABEL },
						.n_readonly = 1 };
	struct ghvm_error err = {};
	struct bench b;

	bench_init(&b, &options);
	ghvm_machine_set_pair(b.m, &pair);
	must(ghvm_machine_build(b.m, &b.demo.files, NULL, &err), &err);
	assert_int_equal(b.m->parcels[1].config.rights, GHVM_MEM_RW);
	assert_int_equal(b.m->parcels[1].with_rights, GHVM_MEM_R);
	must(bench_join(&b, &err), &err);
	must(bench_recover(&b, &err), &err); /* a successor knows them from the tag */
	bench_assert_clean(&b);
	bench_done(&b);
}

/* The first VM has ended since, and its second VMID has been reserved for another one. */
static void reservation_of_another_run(void **state)
{
	struct ghvm_machine_pair pair = { .maker = 1 };
	struct ghvm_error err = {};
	struct bench b;

	build_first(&b);
	pair.joins = ghvm_machine_peer(b.m);
	ghvm_machine_set_pair(b.peer, &pair);
	assert_int_equal(ghvm_machine_build(b.peer, &b.peer_demo.files, NULL, &err), -EBUSY);
	assert_int_equal(ghvm_machine_vmid(b.peer).id, 0);
	must(bench_join(&b, &err), &err);
	end_both(&b);
}

/* ---- stops ---- */

static void first_machine_waits_for_the_second_guest(void **state)
{
	struct ghvm_error err = {};
	struct bench b;
	size_t from;

	start_both(&b);
	assert_int_equal(ghvm_machine_teardown(b.m, &err), -EXDEV);
	assert_true(ghvm_machine_awaits_peer(b.m));
	assert_int_equal(ghvm_machine_quarantined(b.m), 4);
	assert_int_equal(fake_rm_guarded(b.f), 2); /* the window, and the other guest's RAM */
	from = b.f->n_sent;
	assert_int_equal(ghvm_machine_teardown(b.m, &err), -EXDEV);
	assert_int_equal(count_sent(&b, from, GHVM_RM_MEM_RECLAIM), 0); /* RM is not even asked */
	must(ghvm_machine_teardown(b.peer, &err), &err);
	assert_true(ghvm_machine_awaits_peer(b.m));
	end_both(&b);
}

/* As long as a parcel names it, RM would give the parcel to the next VM with that number. */
static void no_vmid_of_the_parcel_is_free(void **state)
{
	struct ghvm_vmid first, second;
	struct ghvm_error err = {};
	struct bench b;

	start_both(&b);
	first = ghvm_machine_vmid(b.m);
	second = ghvm_machine_vmid(b.peer);
	assert_int_equal(ghvm_machine_teardown(b.m, &err), -EXDEV);
	assert_int_equal(state_of(&b, first), GHVM_VM_RESET);
	must(ghvm_machine_teardown(b.peer, &err), &err);
	assert_int_equal(state_of(&b, second), GHVM_VM_RESET);
	must(ghvm_machine_teardown(b.m, &err), &err);
	assert_int_equal(state_of(&b, first), GHVM_VM_NONE);
	assert_int_equal(state_of(&b, second), GHVM_VM_NONE);
	end_both(&b);
}

/* What the second guest has not given up stays, even if RM can be asked. */
static void second_guest_that_goes_on_keeps_it(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	start_both(&b);
	model_refuse(b.f->model, GHVM_RM_VM_STOP, GHVM_RM_DENIED, 0);
	assert_int_equal(ghvm_machine_teardown(b.peer, &err), -EREMOTEIO);
	assert_int_equal(ghvm_machine_teardown(b.m, &err), -EXDEV);
	assert_int_equal(fake_rm_counts(b.f).shared_pages, 4);
	end_both(&b);
}

/* ---- a successor ---- */

static void successor_keeps_the_second_vmid(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	build_first(&b);
	must(ghvm_machine_start(b.m, &err), &err);
	must(bench_recover(&b, &err), &err);
	bench_assert_clean(&b);
	bench_done(&b);
}

static void successor_finds_both_guests(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	start_both(&b);
	must(bench_recover(&b, &err), &err);
	bench_assert_clean(&b);
	bench_done(&b);
}

/* The second machine is gone, and only the tag of the region names its VMID. */
static void successor_finds_a_spent_vmid(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	start_both(&b);
	must(ghvm_machine_teardown(b.peer, &err), &err);
	must(bench_recover(&b, &err), &err);
	bench_assert_clean(&b);
	bench_done(&b);
}

static void successor_finds_a_region_that_waits(void **state)
{
	struct ghvm_error err = {};
	struct bench b;

	start_both(&b);
	assert_int_equal(ghvm_machine_teardown(b.m, &err), -EXDEV);
	must(bench_recover(&b, &err), &err);
	bench_assert_clean(&b);
	bench_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_machine_makes_the_parcel),
		cmocka_unit_test(second_guest_need_not_start),
		cmocka_unit_test(failed_join_keeps_the_reservation),
		cmocka_unit_test(second_guest_starts_once),
		cmocka_unit_test(guests_with_other_rights),
		cmocka_unit_test(reservation_of_another_run),
		cmocka_unit_test(first_machine_waits_for_the_second_guest),
		cmocka_unit_test(no_vmid_of_the_parcel_is_free),
		cmocka_unit_test(second_guest_that_goes_on_keeps_it),
		cmocka_unit_test(successor_keeps_the_second_vmid),
		cmocka_unit_test(successor_finds_both_guests),
		cmocka_unit_test(successor_finds_a_spent_vmid),
		cmocka_unit_test(successor_finds_a_region_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
