/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of resource managers: each row is whole, fits into what the library has room
 * for, and is chosen by the facts that are its own.
 */
#include "libghvm/rm/quirks.h"

#include "libghvm/base/bits.h"
#include "ghvm/plan.h"
#include "libghvm/memory/ledger.h"
#include "libghvm/rm/mem-calls.h"
#include "tests/unit/unit.h"

#include <string.h>

static void every_row_is_whole(void **state)
{
	const struct ghvm_quirks *q;
	size_t n = 0;

	for (; (q = ghvm_quirks_row(n)); n++) {
		assert_true(strlen(q->generation) > 0);
		for (size_t i = 0; i < GHVM_QUIRK_COUNT_; i++) {
			assert_non_null(q->v[i].source);
			assert_true(!ghvm_quirk_is_bool(i) || q->v[i].value <= 1);
			assert_true(ghvm_quirk_is_bool(i) || i == GHVM_QUIRK_VM_ENTRIES ||
				    q->v[i].value > 0);
		}
	}
	assert_int_equal(n, 5);
	assert_ptr_equal(ghvm_quirks_row(n - 1), ghvm_quirks_unknown());
}

static void every_quirk_has_a_name_of_its_own(void **state)
{
	for (size_t i = 0; i < GHVM_QUIRK_COUNT_; i++) {
		assert_non_null(ghvm_quirk_to_string(i));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(ghvm_quirk_to_string(i), ghvm_quirk_to_string(j));
	}
}

static void every_row_fits_into_the_library(void **state)
{
	const struct ghvm_quirks *q;

	for (size_t i = 0; (q = ghvm_quirks_row(i)); i++) {
		uint64_t align = ghvm_quirk(q, GHVM_QUIRK_TREE_ALIGN);
		uint64_t first = ghvm_quirk(q, GHVM_QUIRK_VMID_FIRST);
		uint64_t last = ghvm_quirk(q, GHVM_QUIRK_VMID_LAST);

		assert_true(ghvm_quirk(q, GHVM_QUIRK_MESSAGE_ENTRIES) <= GHVM_RM_MEM_ENTRIES_MAX);
		assert_true(ghvm_quirk(q, GHVM_QUIRK_PARCELS) <= GHVM_LEDGER_PARCELS);
		assert_true(ghvm_quirk(q, GHVM_QUIRK_DOORBELLS) <= GHVM_DOORBELL_MAX);
		assert_true(ghvm_quirk(q, GHVM_QUIRK_VM_ENTRIES) <
			    ghvm_quirk(q, GHVM_QUIRK_ENTRIES));
		assert_true(first <= last && last - first < GHVM_LEDGER_VMIDS);
		assert_true(last <= UINT8_MAX && align && !(align & (align - 1)));
	}
}

/* An unrecognised RM gets nothing that any of the others forbids. */
static void the_unknown_is_the_most_careful(void **state)
{
	static const enum ghvm_quirk less_is_careful[] = {
		GHVM_QUIRK_ENTRIES,	    GHVM_QUIRK_MESSAGE_ENTRIES, GHVM_QUIRK_PARCELS,
		GHVM_QUIRK_DOORBELLS,	    GHVM_QUIRK_TREE_SIZE,	GHVM_QUIRK_REGIONS,
		GHVM_QUIRK_SCHEDULED_VCPUS, GHVM_QUIRK_BOOT_CONTEXT,	GHVM_QUIRK_ADDRESS_LAYOUT,
		GHVM_QUIRK_AUTH_ANDROID,    GHVM_QUIRK_AUTH_PLATFORM,
	};
	const struct ghvm_quirks *unknown = ghvm_quirks_unknown(), *q;

	for (size_t i = 0; (q = ghvm_quirks_row(i)); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(less_is_careful); j++)
			assert_true(ghvm_quirk(unknown, less_is_careful[j]) <=
				    ghvm_quirk(q, less_is_careful[j]));
		assert_true(ghvm_quirk(unknown, GHVM_QUIRK_PRESPLIT) >=
			    ghvm_quirk(q, GHVM_QUIRK_PRESPLIT));
		assert_int_equal(ghvm_quirk(unknown, GHVM_QUIRK_TREE_ALIGN) %
					 ghvm_quirk(q, GHVM_QUIRK_TREE_ALIGN),
				 0);
	}
}

static void choose(const struct ghvm_quirks_facts *facts, const char *generation)
{
	const char *why = NULL;

	assert_string_equal(ghvm_quirks_choose(facts, &why)->generation, generation);
	assert_true(why && strlen(why) > 10);
}

static void facts_choose_a_row(void **state)
{
	struct ghvm_quirks_facts f = {};

	choose(&f, "unknown");
	f.answered = true;
	choose(&f, "unknown");
	f.has_host_type = true;
	choose(&f, "unknown");
	f.host_type = GHVM_QUIRKS_HOST_TYPE;
	f.rm_capid = 2;
	choose(&f, "debug");
	f.rm_capid = 0x8e1f00c0ffee0001;
	choose(&f, "open-2023");
	f.has_boot_context = true;
	choose(&f, "android14");
	f.has_address_layout = true;
	choose(&f, "v17");
	f.answered = false; /* what is half known is not known */
	choose(&f, "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_whole),
		cmocka_unit_test(every_quirk_has_a_name_of_its_own),
		cmocka_unit_test(every_row_fits_into_the_library),
		cmocka_unit_test(the_unknown_is_the_most_careful),
		cmocka_unit_test(facts_choose_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
