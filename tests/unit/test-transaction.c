/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions that come and go while the guest runs: against the model's RM, with guests that do
 * as they are asked and others. The fake watches each page (tests/fake-rm.h).
 */
#include "libghvm/transaction.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/rm-abi.h"
#include "tests/unit/machine-bench.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define RAM 0x90000ULL
#define IPA 0x50000000ULL
#define SIZE 0x3000ULL
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define MS 2000

static const struct bench_options linked = {
	.host = { .ram_size = GHVM_MIB(4) },
	.demo = { .memory = RAM, .window = true, .rm_rpc = true },
};

static int make_memfd(uint64_t size, unsigned int seals)
{
	int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void setup(struct bench *b, enum bench_guest guest)
{
	struct ghvm_error err = {};

	bench_init(b, &linked);
	b->guest_does = guest;
	if (bench_run(b, &err) < 0)
		fail_msg("%s", err.msg);
}

static void end(struct bench *b)
{
	struct ghvm_error err = {};

	if (ghvm_machine_teardown(b->m, &err) < 0)
		fail_msg("%s", err.msg);
	bench_assert_clean(b);
	bench_done(b);
}

static struct ghvm_transaction *begin(struct bench *b)
{
	struct ghvm_transaction *t;
	struct ghvm_error err = {};

	if (ghvm_transaction_new(b->m, &t, &err) < 0)
		fail_msg("%s", err.msg);
	return t;
}

static void add(struct ghvm_transaction *t, uint32_t label)
{
	_cleanup_(closep) int fd = make_memfd(SIZE, SEALS);
	const struct ghvm_transaction_add a = {
		.label = label, .ipa = IPA + label * 0x10000ULL, .size = SIZE, .memfd = fd
	};
	struct ghvm_error err = {};

	if (ghvm_transaction_add(t, &a, &err) < 0)
		fail_msg("%s", err.msg);
}

static void commit(struct ghvm_transaction *t)
{
	struct ghvm_error err = {};

	if (ghvm_transaction_commit(t, MS, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The region as the machine says, or a blank one. */
static struct ghvm_machine_region look(struct bench *b, uint32_t label)
{
	struct ghvm_machine_region v[32];
	size_t n = ghvm_machine_regions(b->m, v, ARRAY_SIZE(v));

	(void)ghvm_rm_dispatch(b->rm); /* what the guest has said meanwhile */
	n = ghvm_machine_regions(b->m, v, ARRAY_SIZE(v));
	for (size_t i = 0; i < n; i++)
		if (v[i].label == label)
			return v[i];
	return (struct ghvm_machine_region){};
}

static void comes_and_goes(void **state)
{
	struct ghvm_machine_region r;
	struct ghvm_transaction *t;
	struct bench b;

	setup(&b, BENCH_GUEST_SERVES);
	t = begin(&b);
	add(t, 7);
	assert_int_equal(look(&b, 7).size, 0);
	commit(t);
	ghvm_transaction_free(t);

	r = look(&b, 7);
	assert_int_equal(r.ipa, IPA + 0x70000);
	assert_int_equal(r.size, SIZE);
	assert_true(r.added && r.accepted && !r.lent && !r.readonly && !r.removing);
	assert_int_equal(fake_rm_counts(b.f).parcels, 3);
	assert_int_equal(fake_rm_guarded(b.f), 3);
	assert_int_equal(ghvm_machine_pages_shared(b.m), 4 + 3);

	t = begin(&b);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	assert_true(look(&b, 7).removing);
	commit(t);
	ghvm_transaction_free(t);
	assert_int_equal(look(&b, 7).size, 0);
	assert_int_equal(fake_rm_counts(b.f).parcels, 2);
	assert_int_equal(fake_rm_pins(b.f), 2);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
