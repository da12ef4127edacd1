/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans: where things are put, in what order they happen, what is refused. */
#include "ghvm/guest-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/plan.h"
#include "libghvm/plan/devices.h"
#include "libghvm/plan/plan.h"
#include "libghvm/rm/quirks.h"
#include "tests/unit/libghvm/plan/plan-input.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void places_without_overlap(void **state)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	const struct ghvm_plan_input in = input();
	const struct ghvm_spec s = spec();
	struct ghvm_error err;

	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_int_equal(p.kernel_offset, 0); /* the entry is the first byte, abi D.5 */
	assert_int_equal(p.dtb_offset, GHVM_MIB(34));
	assert_int_equal(p.dtb_room, GHVM_DTB_ROOM);
	assert_int_equal(p.initrd_offset, GHVM_MIB(36));
	assert_true(p.dtb_offset + p.dtb_room <= p.initrd_offset);
	assert_int_equal(p.n_parcels, 1);
	assert_true(p.parcels[0].lend);
	assert_int_equal(p.parcels[0].entries_best, 256);
	assert_int_equal(p.parcels[0].entries_worst, 131072);
	assert_int_equal(p.parcels[0].huge_best, 256);
	assert_int_equal(p.parcels[0].huge_worst, 0);
	assert_int_equal(p.memlock, GHVM_MIB(512));
	assert_int_equal(p.charge, GHVM_MIB(512));
	assert_int_equal(p.n_doorbells, 2);
}

static void steps_come_in_a_safe_order(void **state)
{
	static const struct ghvm_plan_step want[] = {
		{ GHVM_STEP_PIN, 0 },	       { GHVM_STEP_PIN, 1 },
		{ GHVM_STEP_WRITE_KERNEL, 0 }, { GHVM_STEP_WRITE_INITRD, 0 },
		{ GHVM_STEP_WRITE_DTB, 0 },    { GHVM_STEP_ALLOCATE, 0 },
		{ GHVM_STEP_RESERVE, 0 }, /* its VMID is in the tag of the region */
		{ GHVM_STEP_GUARD, 0 },	       { GHVM_STEP_LEND, 0 },
		{ GHVM_STEP_GUARD, 1 },	       { GHVM_STEP_SHARE, 1 },
		{ GHVM_STEP_CONFIG_IMAGE, 0 }, { GHVM_STEP_INIT, 0 },
		{ GHVM_STEP_RESOURCES, 0 },    { GHVM_STEP_GRANT, 0 },
		{ GHVM_STEP_START, 0 },
	};
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	const struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();
	struct ghvm_error err;

	s.regions[0] = (struct ghvm_spec_region){ .label = 7, .size = GHVM_MIB(16), .with = "b" };
	s.n_regions = 1;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_int_equal(p.n_steps, ARRAY_SIZE(want));
	for (size_t i = 0; i < p.n_steps; i++) {
		assert_int_equal(p.steps[i].kind, want[i].kind);
		assert_int_equal(p.steps[i].parcel, want[i].parcel);
	}
}

static void shares_what_is_not_protected(void **state)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();
	struct ghvm_error err;

	s.protection = GHVM_PROTECTION_NONE;
	in.initrd_size = 0;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_false(p.parcels[0].lend);
	for (size_t i = 0; i < p.n_steps; i++) {
		assert_int_not_equal(p.steps[i].kind, GHVM_STEP_LEND);
		assert_int_not_equal(p.steps[i].kind, GHVM_STEP_WRITE_INITRD);
	}
}

static void windows_go_around_each_other(void **state)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	const struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();
	struct ghvm_error err;

	s.regions[0] = (struct ghvm_spec_region){ .label = 1, .size = GHVM_MIB(16) };
	s.regions[1] = (struct ghvm_spec_region){ .label = 2, .size = 0x1000 };
	s.regions[2] = (struct ghvm_spec_region){
		.label = 3, .size = 0x1000, .readonly = true, .address = 0x40800000
	};
	s.n_regions = 3;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_int_equal(p.n_parcels, 4);
	assert_int_equal(p.parcels[1].label, 3);
	assert_true(p.parcels[1].readonly);
	assert_int_equal(p.parcels[2].ipa, 0x40a00000); /* the 16M did not fit below label 3 */
	assert_int_equal(p.parcels[3].ipa, 0x40200000); /* before it RM has a page (abi K.7) */
	assert_string_equal(p.parcels[3].name, "region-2");
}

/* What does not fit below RAM is above it. */
static void windows_find_room_above_ram(void **state)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	const struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();
	struct ghvm_error err;

	s.memory = GHVM_MIB(514);
	s.regions[0] = (struct ghvm_spec_region){ .label = 1, .size = GHVM_MIB(1021) };
	s.regions[1] = (struct ghvm_spec_region){ .label = 2, .size = GHVM_MIB(16) };
	s.regions[2] = (struct ghvm_spec_region){ .label = 3, .size = GHVM_GIB(2) };
	s.regions[3] = (struct ghvm_spec_region){ .label = 4,
						  .size = 0x1000,
						  .address = GHVM_IPA_RAM + GHVM_MIB(514) };
	s.n_regions = 4;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_int_equal(p.parcels[1].label, 4);
	assert_int_equal(p.parcels[2].ipa, GHVM_IPA_PLACED);
	assert_int_equal(p.parcels[3].ipa, GHVM_IPA_RAM + GHVM_MIB(516));
	assert_int_equal(p.parcels[4].ipa, GHVM_IPA_RAM + GHVM_MIB(532));
	assert_int_equal(ghvm_plan_check(&s, NULL, &err), 0);
}

/* Each size up to the documented one has some pages with which it can be had. */
static void every_size_can_be_had(void **state)
{
	struct ghvm_spec s = spec();
	struct ghvm_error err = {};

	for (uint64_t size = GHVM_GIB(1); size <= GHVM_GIB(30); size += GHVM_GIB(1)) {
		s.memory = size;
		s.hugepages = GHVM_HUGEPAGES_AUTO;
		if (ghvm_plan_check(&s, NULL, &err) == 0)
			continue;
		assert_non_null(strstr(err.msg, "with memory.hugepages: 1G it takes"));
		s.hugepages = GHVM_HUGEPAGES_1G;
		assert_int_equal(ghvm_plan_check(&s, NULL, &err), 0);
	}
	s.memory = GHVM_GIB(31);
	assert_int_equal(ghvm_plan_check(&s, NULL, &err), -EINVAL);
}

static void refuse(const struct ghvm_spec *s, const struct ghvm_plan_input *in, int code,
		   const char *complaint)
{
	struct ghvm_plan p = { .n_steps = 77 };
	struct ghvm_error err;

	assert_int_equal(make(s, in, &p, &err), code);
	if (!strstr(err.msg, complaint))
		fail_msg("%s", err.msg);
	assert_int_equal(p.n_steps, 77);
}

static void refuses_what_does_not_fit(void **state)
{
	struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();

	s.cpus = 5;
	refuse(&s, &in, -EINVAL, "cpus.count: 5 vCPUs, but the host has 4 CPUs");
	s = spec();
	s.memory = GHVM_MIB(40);
	refuse(&s, &in, -EINVAL,
	       "memory.size: 40M is too small: kernel, device tree and initrd take 42M");
	s = spec();
	s.memory = GHVM_GIB(8);
	refuse(&s, &in, -EDQUOT,
	       "memory.size: takes at least 4096 entries of the resource manager's 4000 for the "
	       "whole host: with memory.hugepages: 1G it takes 8");
	s.memory += GHVM_MIB(2);
	refuse(&s, &in, -EDQUOT, "with memory.hugepages: 1G and a multiple of 1G it takes 9");
	s.memory = GHVM_MIB(64);
	s.n_regions = 1;
	s.regions[0] = (struct ghvm_spec_region){ .label = 1, .size = GHVM_GIB(10) };
	refuse(&s, &in, -EDQUOT,
	       "regions: take at least 5120 entries of the resource manager's 4000 for the whole "
	       "host: make them smaller");
	s.n_regions = 0;
	s.memory = GHVM_GIB(8);
	s.hugepages = GHVM_HUGEPAGES_1G;
	in.initrd_size = UINT64_MAX - GHVM_MIB(1);
	refuse(&s, &in, -EFBIG, "wraps");
	in = input();
	in.kernel_size = 10;
	s = spec();
	refuse(&s, &in, -ENOEXEC, "kernel.image: /boot/Image: truncated");
	in = input();
	s.initrd = (char *)"/boot/initrd";
	in.initrd_size = 0;
	refuse(&s, &in, -EINVAL, "kernel.initrd: /boot/initrd: is empty");
	in = input();
	s.memory = GHVM_MIB(513);
	refuse(&s, &in, -EINVAL, "memory.size");
	s.memory = GHVM_GIB(40);
	refuse(&s, &in, -EINVAL, "memory.size");
}

/* Each limit of the plan is the row's, and what the row lacks is refused by name. */
static void keeps_to_the_quirks(void **state)
{
	struct ghvm_quirks q = *ghvm_quirks_unknown();
	struct ghvm_plan_input in = input();
	struct ghvm_plan p = {};
	struct ghvm_spec s = spec();
	struct ghvm_error err;

	q.generation = "small";
	in.quirks = &q;
	q.v[GHVM_QUIRK_ENTRIES].value = 255;
	refuse(&s, &in, -EDQUOT, "at least 256 entries of the resource manager's 255");
	q.v[GHVM_QUIRK_ENTRIES].value = 256;
	q.v[GHVM_QUIRK_DOORBELLS].value = 1;
	refuse(&s, &in, -EOPNOTSUPP, "need 2 doorbells");
	q.v[GHVM_QUIRK_DOORBELLS].value = 2;
	q.v[GHVM_QUIRK_TREE_SIZE].value = 1024;
	refuse(&s, &in, -EINVAL, "at most 1016 fit");
	q.v[GHVM_QUIRK_TREE_SIZE].value = 0x4000;
	q.v[GHVM_QUIRK_TREE_ALIGN].value = 512;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_int_equal(p.dtb_size % 512, 0);
	ghvm_plan_done(&p);

	s.protection = GHVM_PROTECTION_NONE;
	for (unsigned int shares = 0; shares < 2; shares++) {
		q.v[GHVM_QUIRK_IMAGE_SHARE].value = shares;
		assert_int_equal(make(&s, &in, &p, &err), 0);
		assert_int_equal(p.parcels[0].lend, !shares);
		ghvm_plan_lend_ram(&p); /* RM has refused */
		assert_true(p.parcels[0].lend);
		for (size_t i = 0; i < p.n_steps; i++)
			assert_int_not_equal(p.steps[i].kind, GHVM_STEP_SHARE);
		ghvm_plan_done(&p);
	}
	s.n_regions = 1;
	s.regions[0] = (struct ghvm_spec_region){ .label = 1, .size = 0x1000 };
	q.v[GHVM_QUIRK_ENTRIES].value = 257;
	refuse(&s, &in, -EOPNOTSUPP, "(small) is not known to map a region at a chosen address");
	in.quirks = NULL; /* not known: planned, not promised */
	assert_int_equal(make(&s, &in, &p, &err), 0);
	ghvm_plan_done(&p);
}

/* A device that accesses RAM, and RAM that the host cannot access. */
static void a_device_that_accesses_ram_needs_shared_ram(void **state)
{
	struct ghvm_quirks q = *ghvm_quirks_unknown();
	struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();
	struct ghvm_error err;
	struct ghvm_plan p;

	q.generation = "small";
	in.quirks = &q;
	s.rng = true;
	refuse(&s, &in, -EOPNOTSUPP,
	       "memory.protection: the device \"rng\" exchanges data through RAM, and the host "
	       "cannot access the RAM of a protected guest");
	assert_int_equal(ghvm_plan_check(&s, NULL, &err), -EOPNOTSUPP);
	s.protection = GHVM_PROTECTION_NONE;
	q.v[GHVM_QUIRK_IMAGE_SHARE].value = 0;
	refuse(&s, &in, -EOPNOTSUPP, "this resource manager (small) refuses RAM that is shared");
	q.v[GHVM_QUIRK_IMAGE_SHARE].value = 1;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_true(ghvm_devices_access(&p, 0));
	assert_false(p.parcels[0].lend);
	ghvm_plan_done(&p);
	s.rng = false;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_false(ghvm_devices_access(&p, 0));
	ghvm_plan_done(&p);
	s.vhost[0].socket = (char *)"/run/disk";
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_true(ghvm_devices_access(&p, 0));
	ghvm_plan_done(&p);
	s.protection = GHVM_PROTECTION_PROTECTED;
	refuse(&s, &in, -EOPNOTSUPP, "memory.protection: the device \"vhost-user\"");
}

/* Of a protected guest a device accesses a region, which has a name in the tree. */
static void a_device_may_access_a_region(void **state)
{
	const struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();
	struct ghvm_error err;
	struct ghvm_plan p;
	const fdt32_t *names, *named;
	int device, window;

	s.rng = true;
	s.rng_region = 9;
	refuse(&s, &in, -EINVAL, "devices: \"rng\" uses region 9, which is not listed");
	s.n_regions = 2;
	s.regions[0] = (struct ghvm_spec_region){ .label = 5, .size = 0x1000 };
	s.regions[1] = (struct ghvm_spec_region){
		.label = 9, .size = 0x200000, .address = 0x50000000, .readonly = true
	};
	refuse(&s, &in, -EINVAL,
	       "\"rng\" cannot use region 9, to which guest or host cannot write");
	s.regions[1].readonly = false;
	s.regions[1].access = GHVM_HOST_READONLY;
	refuse(&s, &in, -EINVAL, "\"rng\" cannot use region 9");
	s.regions[1].access = GHVM_HOST_READ_WRITE;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	assert_true(p.parcels[0].lend);
	assert_false(ghvm_devices_access(&p, 0));
	assert_int_equal(p.parcels[1].label, 9); /* it has an address, so it is placed first */
	assert_true(ghvm_devices_access(&p, 1));
	assert_false(ghvm_devices_access(&p, 2));
	device = fdt_path_offset(p.dtb, "/virtio@10010000");
	window = fdt_path_offset(p.dtb, "/reserved-memory/window@50000000");
	named = fdt_getprop(p.dtb, device, "memory-region", NULL);
	names = fdt_getprop(p.dtb, window, "phandle", NULL);
	assert_non_null(named);
	assert_non_null(names);
	assert_int_equal(*named, *names);
	window = fdt_path_offset(p.dtb, "/reserved-memory/window@40200000");
	assert_true(window > 0);
	assert_null(fdt_getprop(p.dtb, window, "phandle", NULL));
	ghvm_plan_done(&p);
}

static void refuses_windows_in_the_wrong_place(void **state)
{
	const struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();
	struct ghvm_spec_region *r = s.regions;

	s.n_regions = 1;
	r[0] = (struct ghvm_spec_region){ .label = 1, .size = 0x1000, .address = 0x1000 };
	refuse(&s, &in, -EINVAL, "outside");
	r[0].address = GHVM_IPA_END - 0x1000;
	r[0].size = UINT64_MAX - 0xfff;
	refuse(&s, &in, -EINVAL, "outside");
	r[0] = (struct ghvm_spec_region){ .label = 1, .size = 0x1001 };
	refuse(&s, &in, -EINVAL, "whole pages");
	r[0] = (struct ghvm_spec_region){ .label = 1, .size = GHVM_GIB(30) };
	refuse(&s, &in, -EINVAL, "regions[0].size: no space");
	r[0] = (struct ghvm_spec_region){ .label = 1,
					  .size = 0x2000,
					  .address = GHVM_IPA_RAM - 0x1000 };
	refuse(&s, &in, -EINVAL, "overlaps \"ram\"");
	r[0] = (struct ghvm_spec_region){ .label = 0, .size = 0x1000 };
	refuse(&s, &in, -EINVAL, "regions[0].label: 0 is in use");
	r[0].label = GHVM_LABEL_PROBE;
	refuse(&s, &in, -EINVAL, "regions[0].label: 4294967294 is reserved");
	r[0].label = UINT32_MAX;
	refuse(&s, &in, -EINVAL, "is reserved");
	s.n_regions = 2;
	r[0] = (struct ghvm_spec_region){ .label = 1, .size = 0x2000, .address = 0x40000000 };
	r[1] = (struct ghvm_spec_region){ .label = 2, .size = 0x1000, .address = 0x40001000 };
	refuse(&s, &in, -EINVAL, "regions[1].address: 0x40001000 overlaps \"region-1\"");
	r[1] = (struct ghvm_spec_region){ .label = 1, .size = 0x1000 };
	refuse(&s, &in, -EINVAL, "regions[1].label: 1 is in use");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_without_overlap),
		cmocka_unit_test(steps_come_in_a_safe_order),
		cmocka_unit_test(shares_what_is_not_protected),
		cmocka_unit_test(windows_go_around_each_other),
		cmocka_unit_test(windows_find_room_above_ram),
		cmocka_unit_test(every_size_can_be_had),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(keeps_to_the_quirks),
		cmocka_unit_test(a_device_that_accesses_ram_needs_shared_ram),
		cmocka_unit_test(a_device_may_access_a_region),
		cmocka_unit_test(refuses_windows_in_the_wrong_place),
	};

	make_kernel();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
