/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accounts of a host: budgets, names, and what an heir takes over.
 */
#include "libghvm/memory/ledger.h"

#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static struct ghvm_ledger_parcel parcel(uint16_t vmid, uint32_t label, uint64_t entries)
{
	return (struct ghvm_ledger_parcel){ .vmid = { vmid },
					    .incarnation = 7,
					    .label = label,
					    .handle = { GHVM_PARCEL_NONE },
					    .entries = entries };
}

/* A host with so many entries. */
static void init(struct ghvm_ledger *l, uint64_t entries)
{
	static struct ghvm_quirks quirks;

	quirks = *ghvm_quirks_unknown();
	quirks.v[GHVM_QUIRK_ENTRIES].value = entries;
	ghvm_ledger_init(l, &quirks);
}

static int take(struct ghvm_ledger *l, uint32_t label, uint64_t entries, unsigned int *ret)
{
	struct ghvm_ledger_parcel p = parcel(0x80, label, entries);

	return ghvm_ledger_take(l, &p, "ram", ret, NULL);
}

static void refuses_more_entries_than_there_are(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_ledger_parcel p = parcel(0x80, 3, 11);
	struct ghvm_ledger_figures g;
	struct ghvm_error err = {};
	unsigned int a, b;

	init(&l, 100);
	assert_int_equal(take(&l, 1, 101, &a), -E2BIG);
	assert_int_equal(take(&l, 1, UINT64_MAX, &a), -E2BIG);
	assert_int_equal(take(&l, 1, 90, &a), 0);
	assert_int_equal(ghvm_ledger_take(&l, &p, "ram", &b, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "needs 11 of"));
	assert_non_null(strstr(err.msg, "manager's 100 entries, of which others use 90"));
	assert_int_equal(ghvm_ledger_check(&l, 11, 1, "ask less", &err), -E2BIG);
	assert_int_equal(ghvm_ledger_check(&l, UINT64_MAX, 1, "ask less", &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "others use 90: stop one of them, or ask less"));
	assert_int_equal(ghvm_ledger_check(&l, 10, 1, "ask less", &err), 0);
	assert_int_equal(take(&l, 2, 10, &b), 0);
	ghvm_ledger_figures(&l, &g);
	assert_int_equal(g.entries, 100);
	assert_int_equal(g.parcels, 2);
	ghvm_ledger_give(&l, a);
	assert_int_equal(take(&l, 3, 91, &a), -E2BIG);
	assert_int_equal(take(&l, 3, 90, &a), 0);
}

/* A VM is charged with its RAM (label 0), and given back with it. */
static void a_vm_costs_entries_of_its_own(void **state)
{
	static struct ghvm_quirks quirks;
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_ledger_figures g;
	struct ghvm_error err = {};
	unsigned int ram, region;

	quirks = *ghvm_quirks_unknown();
	quirks.v[GHVM_QUIRK_ENTRIES].value = 100;
	quirks.v[GHVM_QUIRK_VM_ENTRIES].value = 30;
	ghvm_ledger_init(&l, &quirks);
	assert_int_equal(ghvm_ledger_check(&l, 71, 1, "ask less", &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "at least 101 of"));
	assert_int_equal(ghvm_ledger_check(&l, 70, 1, "ask less", &err), 0);
	assert_int_equal(take(&l, 0, 71, &ram), -E2BIG);
	assert_int_equal(take(&l, 0, 20, &ram), 0);
	assert_int_equal(take(&l, 1, 51, &region), -E2BIG);
	assert_int_equal(take(&l, 1, 50, &region), 0);
	ghvm_ledger_figures(&l, &g);
	assert_int_equal(g.entries, 100);
	ghvm_ledger_give(&l, ram);
	ghvm_ledger_figures(&l, &g);
	assert_int_equal(g.entries, 50);
}

/* Without another VM the message does not advise to stop one. */
static void proposes_what_can_help(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_error err = {};

	init(&l, 100);
	assert_int_equal(ghvm_ledger_check(&l, 101, 1, "ask less", &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "of which others use 0: ask less"));
	assert_int_equal(ghvm_ledger_check(&l, 1, 65, "ask less", &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "of which others use 0: have fewer regions"));
}

static void refuses_the_65th_parcel(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	unsigned int e, first = 0;

	init(&l, 1000);
	for (uint32_t i = 0; i < 64; i++) {
		assert_int_equal(take(&l, i, 1, &e), 0);
		first = i ? first : e;
	}
	assert_int_equal(take(&l, 100, 1, &e), -ENOSPC);
	ghvm_ledger_give(&l, first);
	assert_int_equal(take(&l, 100, 1, &e), 0);
}

static void the_row_says_how_many_parcels_and_which_vmids(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_quirks q = *ghvm_quirks_unknown();
	struct ghvm_ledger_parcel there = parcel(0x80, 9, 1);
	struct ghvm_vmid first, last;
	unsigned int e;

	ghvm_ledger_init(&l, ghvm_quirks_unknown());
	q.v[GHVM_QUIRK_PARCELS].value = 2;
	q.v[GHVM_QUIRK_VMID_FIRST].value = 0x40;
	q.v[GHVM_QUIRK_VMID_LAST].value = 0x41;
	ghvm_ledger_set_quirks(&l, &q);
	assert_int_equal(take(&l, 1, 1, &e), 0);
	assert_int_equal(take(&l, 2, 1, &e), 0);
	assert_int_equal(take(&l, 3, 1, &e), -ENOSPC);
	assert_int_equal(ghvm_ledger_adopt(&l, &there, "ram", &e, NULL), 0); /* RM has it */

	ghvm_ledger_vmids(&l, &first, &last);
	assert_int_equal(first.id, 0x40);
	assert_int_equal(last.id, 0x41);
}

static enum ghvm_ledger_naming naming(struct ghvm_ledger *l, uint32_t handle)
{
	return ghvm_ledger_naming(l, (struct ghvm_parcel_handle){ handle });
}

static bool claim(struct ghvm_ledger *l, unsigned int entry, uint32_t handle)
{
	return ghvm_ledger_claim(l, entry, (struct ghvm_parcel_handle){ handle });
}

static void knows_its_handles(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_parcel_handle h = { 77 };
	unsigned int a, b;

	init(&l, 1000);
	assert_int_equal(ghvm_ledger_last(&l, &h), 0);
	assert_int_equal(h.id, 77); /* untouched */
	assert_int_equal(take(&l, 1, 1, &a), 0);
	assert_int_equal(take(&l, 2, 1, &b), 0);
	assert_true(claim(&l, a, 0)); /* a real one */
	assert_true(claim(&l, b, 9));
	assert_int_equal(naming(&l, 0), GHVM_LEDGER_CLAIMED);
	assert_int_equal(naming(&l, 9), GHVM_LEDGER_CLAIMED);
	assert_int_equal(naming(&l, 5), GHVM_LEDGER_FREE);
	assert_int_equal(naming(&l, GHVM_PARCEL_NONE), GHVM_LEDGER_FREE);
	assert_int_equal(ghvm_ledger_last(&l, &h), 0); /* RM has only said so */
	assert_true(ghvm_ledger_confirm(&l, b, false));
	assert_int_equal(naming(&l, 9), GHVM_LEDGER_SURE);
	assert_true(claim(&l, a, 4)); /* older than the last */
	assert_true(ghvm_ledger_confirm(&l, a, false));
	assert_int_equal(ghvm_ledger_last(&l, &h), 1);
	assert_int_equal(h.id, 9);
	ghvm_ledger_unname(&l, b);
	assert_int_equal(naming(&l, 9), GHVM_LEDGER_FREE);
	assert_int_equal(ghvm_ledger_last(&l, &h), 1);
	assert_int_equal(h.id, 9);
}

/*
 * RM has reported the same handle twice: it is unknown which reply was wrong, unless one is sure.
 */
static void believes_no_handle_that_two_have(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	unsigned int a, b, c;

	init(&l, 1000);
	assert_int_equal(take(&l, 1, 1, &a), 0);
	assert_int_equal(take(&l, 2, 1, &b), 0);
	assert_int_equal(take(&l, 3, 1, &c), 0);
	assert_true(claim(&l, a, 6));
	assert_false(claim(&l, b, 6));
	assert_int_equal(naming(&l, 6), GHVM_LEDGER_CLAIMED);
	assert_true(ghvm_ledger_doubted(&l, a));
	assert_false(ghvm_ledger_confirm(&l, a, false)); /* the other's may have done as well */
	assert_true(ghvm_ledger_confirm(&l, a, true));
	assert_int_equal(naming(&l, 6), GHVM_LEDGER_SURE);

	assert_false(claim(&l, c, 6)); /* a lie: it is the first's */
	assert_int_equal(naming(&l, 6), GHVM_LEDGER_SURE);
	assert_true(claim(&l, c, 7));
	ghvm_ledger_dispute(&l, (struct ghvm_parcel_handle){ 6 });
	assert_int_equal(naming(&l, 6), GHVM_LEDGER_SURE); /* it is sure */
	ghvm_ledger_dispute(&l, (struct ghvm_parcel_handle){ 7 });
	assert_true(ghvm_ledger_doubted(&l, c));
	assert_int_equal(naming(&l, 7), GHVM_LEDGER_CLAIMED);
}

static void doubts_who_may_have_the_handle_of_a_lost_one(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	unsigned int a, b;

	init(&l, 1000);
	assert_int_equal(take(&l, 1, 1, &a), 0);
	assert_int_equal(take(&l, 2, 1, &b), 0);
	assert_true(claim(&l, a, 6));
	assert_true(ghvm_ledger_doubted(&l, a));
	assert_true(claim(&l, b, 7));
	assert_false(ghvm_ledger_doubted(&l, a));
	ghvm_ledger_unname(&l, b);
	ghvm_ledger_abandon(&l, b); /* in the quarantine, and lost all the same */
	assert_true(ghvm_ledger_doubted(&l, a));
}

static void counter_may_wrap(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_parcel_handle h;
	unsigned int a;

	init(&l, 1000);
	assert_int_equal(take(&l, 1, 1, &a), 0);
	assert_true(claim(&l, a, UINT32_MAX - 1));
	assert_true(ghvm_ledger_confirm(&l, a, false));
	assert_true(claim(&l, a, 1));
	assert_true(ghvm_ledger_confirm(&l, a, false));
	assert_int_equal(ghvm_ledger_last(&l, &h), 1);
	assert_int_equal(h.id, 1);
}

static void gives_out_no_vmid_twice(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_vmid first, last;

	init(&l, 1000);
	ghvm_ledger_vmids(&l, &first, &last);
	assert_true(ghvm_ledger_vmid_claim(&l, first));
	assert_true(ghvm_ledger_vmid_known(&l, first));
	assert_false(ghvm_ledger_vmid_claim(&l, first));
	assert_false(ghvm_ledger_vmid_claim(&l, (struct ghvm_vmid){ 1 }));
	assert_false(ghvm_ledger_vmid_claim(&l, (struct ghvm_vmid){ 255 }));
	assert_false(ghvm_ledger_vmid_claim(&l, (struct ghvm_vmid){ UINT16_MAX }));
	assert_true(ghvm_ledger_vmid_claim(&l, (struct ghvm_vmid){ 45 })); /* unusual */
	assert_false(ghvm_ledger_vmid_claim(&l, (struct ghvm_vmid){ 45 }));
	ghvm_ledger_vmid_remove(&l, first);
	assert_true(ghvm_ledger_vmid_claim(&l, first));
}

/* A machine that is freed with guarded pages leaves its entry to who adopts them. */
static void heir_takes_over_what_was_abandoned(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_ledger_parcel p = parcel(0x80, 1, 60), other = parcel(0x81, 1, 60);
	struct ghvm_ledger_figures g;
	unsigned int a, b, c;

	init(&l, 100);
	assert_int_equal(ghvm_ledger_take(&l, &p, "ram", &a, NULL), 0);
	ghvm_ledger_abandon(&l, a);
	ghvm_ledger_figures(&l, &g);
	assert_int_equal(g.entries, 60); /* RM still has them */
	assert_int_equal(ghvm_ledger_adopt(&l, &p, "ram", &b, NULL), 0);
	assert_int_equal(b, a);
	assert_int_equal(ghvm_ledger_adopt(&l, &other, "ram", &c, NULL), 0); /* over the budget */
	ghvm_ledger_figures(&l, &g);
	assert_int_equal(g.entries, 120);
	assert_int_equal(take(&l, 9, 1, &a), -E2BIG);
	ghvm_ledger_give(&l, b);
	ghvm_ledger_give(&l, c);
	ghvm_ledger_figures(&l, &g);
	assert_int_equal(g.entries, 0);
	assert_int_equal(g.parcels, 0);
}

static void counts_vmids(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	struct ghvm_ledger_figures g;

	init(&l, 100);
	ghvm_ledger_vmid_add(&l, (struct ghvm_vmid){ 0x80 });
	ghvm_ledger_vmid_add(&l, (struct ghvm_vmid){ 0xbe });
	ghvm_ledger_vmid_add(&l, (struct ghvm_vmid){ 3 }); /* no guest's */
	assert_true(ghvm_ledger_vmid_known(&l, (struct ghvm_vmid){ 0xbe }));
	assert_false(ghvm_ledger_vmid_known(&l, (struct ghvm_vmid){ 0x81 }));
	assert_false(ghvm_ledger_vmid_known(&l, (struct ghvm_vmid){ 3 }));
	ghvm_ledger_vmid_stuck(&l, (struct ghvm_vmid){ 0xbe });
	ghvm_ledger_vmid_remove(&l, (struct ghvm_vmid){ 0x80 });
	ghvm_ledger_figures(&l, &g);
	assert_int_equal(g.vmids, 1);
	assert_int_equal(g.stuck, 1);
}

static const struct ghvm_vmid second = { 0x81 };
#define RUN 7 /* as parcel() has it */

/* A parcel of the VM 0x80 that @second has as well. */
static unsigned int take_pair(struct ghvm_ledger *l, uint32_t label)
{
	unsigned int entry;

	assert_int_equal(take(l, label, 1, &entry), 0);
	ghvm_ledger_pair(l, entry, second);
	return entry;
}

static void second_guest_joins_and_leaves(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	unsigned int a, b;

	init(&l, 100);
	assert_false(ghvm_ledger_pair_join(&l, second, RUN)); /* no parcel names it */
	a = take_pair(&l, 1);
	b = take_pair(&l, 2);
	assert_int_equal(ghvm_ledger_pair_of(&l, second), GHVM_LEDGER_RESERVED);
	assert_false(
		ghvm_ledger_pair_join(&l, second, RUN + 1)); /* reserved by another run since */
	assert_true(ghvm_ledger_pair_join(&l, second, RUN));
	assert_false(ghvm_ledger_pair_join(&l, second, RUN));
	assert_false(ghvm_ledger_pair_close(&l, a)); /* its guest may have the pages */
	ghvm_ledger_pair_leave(&l, second);
	assert_true(ghvm_ledger_pair_close(&l, a));
	assert_true(ghvm_ledger_pair_return(&l, second, false));
	assert_int_equal(ghvm_ledger_pair_of(&l, second), GHVM_LEDGER_SPENT);
	assert_false(ghvm_ledger_pair_join(&l, second, RUN));
	assert_false(ghvm_ledger_pair_end(&l, a)); /* the other parcel names it */
	assert_true(ghvm_ledger_pair_end(&l, b));
	assert_int_equal(ghvm_ledger_pair_of(&l, second), GHVM_LEDGER_SPENT);
	ghvm_ledger_pair_drop(&l, b);
	assert_int_equal(ghvm_ledger_pair_of(&l, second), GHVM_LEDGER_ALONE);
}

static void unused_number_serves_another_start(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	unsigned int a;

	init(&l, 100);
	a = take_pair(&l, 1);
	assert_true(ghvm_ledger_pair_join(&l, second, RUN));
	ghvm_ledger_pair_leave(&l, second);
	assert_true(ghvm_ledger_pair_return(&l, second, true));
	assert_true(ghvm_ledger_pair_join(&l, second, RUN));
	ghvm_ledger_pair_leave(&l, second);
	assert_true(ghvm_ledger_pair_close(&l, a));
	assert_false(ghvm_ledger_pair_end(&l, a)); /* the machine has the number still */
	assert_false(ghvm_ledger_pair_return(&l, second, false));
}

static void nothing_joins_what_is_reclaimed(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	unsigned int a;

	init(&l, 100);
	a = take_pair(&l, 1);
	(void)take_pair(&l, 2);
	assert_true(ghvm_ledger_pair_close(&l, a));
	assert_false(ghvm_ledger_pair_join(&l, second, RUN));
}

/* It comes back unused, between the RECLAIM of a parcel and its end: the parcel that ends last deallocates it. */
static void number_that_is_returned_meanwhile_is_not_lost(void **state)
{
	for (unsigned int n = 1; n <= 2; n++) {
		_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
		unsigned int a, b = 0;

		init(&l, 100);
		a = take_pair(&l, 1);
		if (n == 2)
			b = take_pair(&l, 2);
		assert_true(ghvm_ledger_pair_join(&l, second, RUN));
		ghvm_ledger_pair_leave(&l, second);
		assert_true(ghvm_ledger_pair_close(&l, a));
		assert_true(ghvm_ledger_pair_return(&l, second, true));
		assert_false(
			ghvm_ledger_pair_join(&l, second, RUN)); /* RM may have taken it back */
		assert_int_equal(ghvm_ledger_pair_end(&l, a), n == 1);
		if (n == 2) {
			assert_true(ghvm_ledger_pair_close(&l, b));
			assert_true(ghvm_ledger_pair_end(&l, b));
		}
	}
}

/* In whatever order the tags are found. */
static void heir_finds_both_guests(void **state)
{
	for (unsigned int first = 0; first < 2; first++) {
		_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
		struct ghvm_ledger_parcel v[2] = { parcel(0x80, 7, 1), parcel(0x81, 0, 1) };
		unsigned int entry;

		init(&l, 100);
		v[0].with = second;
		assert_int_equal(ghvm_ledger_adopt(&l, &v[first], "x", &entry, NULL), 0);
		if (!first)
			assert_int_equal(ghvm_ledger_pair_of(&l, second), GHVM_LEDGER_RESERVED);
		assert_int_equal(ghvm_ledger_adopt(&l, &v[!first], "x", &entry, NULL), 0);
		assert_int_equal(ghvm_ledger_pair_of(&l, second), GHVM_LEDGER_JOINED);
	}
}

/* A successor that believes all VMs to be shown by their parcels must find the second VMID, too. */
static void parcel_shows_both_vmids(void **state)
{
	_cleanup_(ghvm_ledger_done) struct ghvm_ledger l;
	unsigned int a;

	init(&l, 100);
	assert_int_equal(take(&l, 1, 1, &a), 0);
	ghvm_ledger_promise(&l, a, (struct ghvm_vmid){ 0x80 }, 7);
	assert_true(ghvm_ledger_vmid_claim(&l, (struct ghvm_vmid){ 0x80 }));
	assert_true(ghvm_ledger_vmid_claim(&l, second));
	assert_false(ghvm_ledger_vmids_shown(&l));
	ghvm_ledger_pair(&l, a, second);
	assert_true(ghvm_ledger_vmids_shown(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_more_entries_than_there_are),
		cmocka_unit_test(a_vm_costs_entries_of_its_own),
		cmocka_unit_test(proposes_what_can_help),
		cmocka_unit_test(refuses_the_65th_parcel),
		cmocka_unit_test(the_row_says_how_many_parcels_and_which_vmids),
		cmocka_unit_test(knows_its_handles),
		cmocka_unit_test(believes_no_handle_that_two_have),
		cmocka_unit_test(doubts_who_may_have_the_handle_of_a_lost_one),
		cmocka_unit_test(counter_may_wrap),
		cmocka_unit_test(gives_out_no_vmid_twice),
		cmocka_unit_test(heir_takes_over_what_was_abandoned),
		cmocka_unit_test(counts_vmids),
		cmocka_unit_test(second_guest_joins_and_leaves),
		cmocka_unit_test(unused_number_serves_another_start),
		cmocka_unit_test(nothing_joins_what_is_reclaimed),
		cmocka_unit_test(number_that_is_returned_meanwhile_is_not_lost),
		cmocka_unit_test(heir_finds_both_guests),
		cmocka_unit_test(parcel_shows_both_vmids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
