/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that runs, and regions that come and go.
 */
#include "tests/unit/region-bench.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

const struct bench_options regions_options = {
	.host = { .ram_size = GHVM_MIB(4) },
	.demo = { .memory = REGIONS_RAM, .window = true, .rm_rpc = true },
};

int regions_memfd(uint64_t size, unsigned int seals)
{
	int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

void regions_setup(struct bench *b, enum bench_guest guest)
{
	struct ghvm_error err = {};

	bench_init(b, &regions_options);
	b->guest_does = guest;
	if (bench_run(b, &err) < 0)
		fail_msg("%s", err.msg);
}

void regions_end(struct bench *b)
{
	struct ghvm_error err = {};

	if (ghvm_machine_teardown(b->m, &err) < 0)
		fail_msg("%s", err.msg);
	bench_assert_clean(b);
	bench_done(b);
}

struct ghvm_transaction *regions_begin(struct bench *b)
{
	struct ghvm_transaction *t;
	struct ghvm_error err = {};

	if (ghvm_transaction_new(b->m, &t, &err) < 0)
		fail_msg("%s", err.msg);
	return t;
}

/* Where a region of this label goes here. */
uint64_t regions_place(uint32_t label)
{
	return REGIONS_IPA + label * 0x10000ULL;
}

int regions_try_add(struct ghvm_transaction *t, uint32_t label, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = regions_memfd(REGIONS_SIZE, REGIONS_SEALS);
	const struct ghvm_transaction_add a = {
		.label = label, .ipa = regions_place(label), .size = REGIONS_SIZE, .memfd = fd
	};

	return ghvm_transaction_add(t, &a, err);
}

void regions_add(struct ghvm_transaction *t, uint32_t label)
{
	struct ghvm_error err = {};

	if (regions_try_add(t, label, &err) < 0)
		fail_msg("%s", err.msg);
}

void regions_commit(struct ghvm_transaction *t)
{
	struct ghvm_error err = {};

	if (ghvm_transaction_commit(t, REGIONS_MS, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The region as the machine says, or a blank one. */
struct ghvm_machine_region regions_look(struct bench *b, uint32_t label)
{
	struct ghvm_machine_region v[32];
	size_t n;

	assert_int_equal(ghvm_rm_dispatch(b->rm), 0); /* what the guest has said meanwhile */
	n = ghvm_machine_regions(b->m, v, ARRAY_SIZE(v));
	for (size_t i = 0; i < n; i++)
		if (v[i].label == label)
			return v[i];
	return (struct ghvm_machine_region){};
}

bool regions_there(struct bench *b, uint32_t label)
{
	const struct ghvm_machine_region r = regions_look(b, label);

	return r.size && !r.removing;
}

void regions_assert_count(struct bench *b, size_t n)
{
	struct ghvm_machine_region v[32];

	assert_int_equal(ghvm_machine_regions(b->m, v, ARRAY_SIZE(v)), n);
	for (size_t i = 1; i < n; i++)
		assert_true(v[i - 1].ipa < v[i].ipa);
}

/* One of each, committed; 0: none. */
int regions_change(struct bench *b, uint32_t comes, uint32_t goes, unsigned int ms,
		   struct ghvm_error *err)
{
	_cleanup_(ghvm_transaction_freep) struct ghvm_transaction *t = regions_begin(b);

	if (comes)
		regions_add(t, comes);
	if (goes)
		assert_int_equal(ghvm_transaction_remove(t, goes, NULL), 0);
	return ghvm_transaction_commit(t, ms, err);
}

void regions_must_change(struct bench *b, uint32_t comes, uint32_t goes)
{
	struct ghvm_error err = {};

	if (regions_change(b, comes, goes, REGIONS_MS, &err) < 0)
		fail_msg("%s", err.msg);
}
