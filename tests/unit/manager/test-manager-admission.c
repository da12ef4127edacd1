/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the manager refuses before memory is populated.
 */
#include "daemon/manager/instance/admission.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int check_memlock(const char *status, uint64_t limit, uint64_t bytes, struct ghvm_error *err)
{
	char path[] = "/tmp/test-admission-XXXXXX";
	int fd = mkstemp(path), r;

	assert_int_equal(write(fd, status, strlen(status)), strlen(status));
	close(fd);
	r = admission_check_memlock(path, limit, bytes, err);
	unlink(path);
	return r;
}

static const char status_of[] = "Name:\tgunyah-vmd\nVmPin:\t  524288 kB\n"
				"CapPrm:\t0000000000004000\nCapEff:\t0000000000000000\n";

static void memlock_counts_what_is_pinned(void **state)
{
	struct ghvm_error err = {};

	assert_int_equal(check_memlock(status_of, GHVM_GIB(1), GHVM_MIB(512), &err), 0);
	assert_int_equal(check_memlock(status_of, GHVM_GIB(1), GHVM_MIB(513), &err), -E2BIG);
	assert_non_null(strstr(err.msg, "cannot pin 513 MiB"));
	assert_non_null(strstr(err.msg, "may pin 1024 MiB and has pinned 512"));
	assert_non_null(strstr(err.msg, "LimitMEMLOCK="));
	assert_int_equal(check_memlock(status_of, GHVM_MIB(64), GHVM_MIB(513), &err), -EDQUOT);
	assert_int_equal(check_memlock(status_of, UINT64_MAX, UINT64_MAX - GHVM_GIB(1), &err), 0);
}

static void memlock_does_not_bind_who_may_lock(void **state)
{
	assert_int_equal(check_memlock("CapEff:\t0000000000004000\n", 0, GHVM_GIB(1), NULL), 0);
	assert_int_equal(check_memlock("CapEff:\t0000000000002000\n", 0, GHVM_GIB(1), NULL),
			 -EDQUOT);
	assert_int_equal(admission_check_memlock("/nonexistent", GHVM_GIB(1), GHVM_GIB(1), NULL),
			 0);
}

/* ---- a whole guest ---- */

static const struct ghvm_host_ops ops;

struct bench {
	struct ghvm_host host;
	struct ghvm_ledger ledger;
	struct guest_host guests;
	struct guest *guest;
};

static void bench_init(struct bench *b, const char *text)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};

	*b = (struct bench){ .host.ops = &ops };
	ghvm_ledger_init(&b->ledger, ghvm_quirks_unknown());
	b->guests = (struct guest_host){ .host = &b->host, .ledger = &b->ledger };
	if (ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), &spec, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(guest_new(&b->guests, &spec, &b->guest), 0);
}

static void bench_done(struct bench *b)
{
	guest_free(b->guest);
	ghvm_ledger_done(&b->ledger);
}

static unsigned int others_take(struct bench *b, uint64_t entries)
{
	struct ghvm_ledger_parcel p = { .vmid = { 0x90 }, .entries = entries };
	unsigned int e;

	assert_int_equal(ghvm_ledger_take(&b->ledger, &p, "other", &e, NULL), 0);
	return e;
}

#define ENTRIES 4000 /* of an unrecognised resource manager */
#define KERNEL "version: 1\nkernel: {image: /Image}\n"

/* 512 MiB are at least 256 entries, and a window at least one. */
static void entries_are_refused_before_memory_is_made(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	unsigned int e;

	bench_init(&b, KERNEL "memory: {size: 512M}\nregions:\n  - {label: 7, size: 64K}\n");
	e = others_take(&b, ENTRIES - 257);
	assert_int_equal(admission_check(b.guest, &err), 0);
	ghvm_ledger_give(&b.ledger, e);
	(void)others_take(&b, ENTRIES - 256);
	assert_int_equal(admission_check(b.guest, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "at least 257 of"));
	assert_non_null(strstr(err.msg,
			       "4000 entries, of which others use 3744: stop one of them, or "
			       "lower memory.size"));
}

static void larger_pages_take_fewer_entries(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, KERNEL "memory: {size: 4G, hugepages: 1G}\n");
	(void)others_take(&b, ENTRIES - 4);
	assert_int_equal(admission_check(b.guest, NULL), 0);
}

static void larger_pages_are_proposed(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	bench_init(&b, KERNEL "memory: {size: 4G}\n");
	(void)others_take(&b, ENTRIES - 4);
	assert_int_equal(admission_check(b.guest, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "stop one of them, or use memory.hugepages: 1G, or lower"));
}

static void parcels_are_counted_too(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	bench_init(&b, KERNEL "memory: {size: 64M}\nregions:\n  - {label: 7, size: 64K}\n");
	for (uint32_t i = 0; i < GHVM_LEDGER_PARCELS - 2; i++)
		(void)others_take(&b, 1);
	assert_int_equal(admission_check(b.guest, &err), 0);
	(void)others_take(&b, 1);
	assert_int_equal(admission_check(b.guest, &err), -E2BIG);
	assert_non_null(
		strstr(err.msg, "2 of the host's 64 memory parcels, of which others use 63"));
}

/* The pools are for RAM, and the order is the plan's: those with an address come first. */
static void windows_come_as_planned(void **state)
{
	_cleanup_(bench_done) struct bench b;
	const struct guest_need *n;

	bench_init(&b, KERNEL "memory: {size: 64M, hugepages: 2M}\nregions:\n"
			      "  - {label: 7, size: 64K}\n"
			      "  - {label: 8, size: 1M, address: 0x50000000}\n");
	n = b.guest->needs;
	assert_int_equal(n[0].is.hugepages, GHVM_HUGEPAGES_2M);
	assert_int_equal(n[1].is.index, 1);
	assert_int_equal(n[1].is.size, GHVM_MIB(1));
	assert_int_equal(n[1].is.hugepages, GHVM_HUGEPAGES_AUTO);
	assert_int_equal(n[2].is.index, 2);
	assert_int_equal(n[2].is.size, GHVM_KIB(64));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memlock_counts_what_is_pinned),
		cmocka_unit_test(memlock_does_not_bind_who_may_lock),
		cmocka_unit_test(entries_are_refused_before_memory_is_made),
		cmocka_unit_test(larger_pages_take_fewer_entries),
		cmocka_unit_test(larger_pages_are_proposed),
		cmocka_unit_test(parcels_are_counted_too),
		cmocka_unit_test(windows_come_as_planned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
