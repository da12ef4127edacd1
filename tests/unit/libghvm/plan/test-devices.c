/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of devices: its rows do not contradict each other, and devices are placed by them. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/devices.h"
#include "libghvm/plan/dt-writer.h"
#include "libghvm/plan/dt.h"
#include "tests/fixtures/devices.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void each_row_is_complete(void **state)
{
	size_t n = 0;

	for (const struct ghvm_device_kind *k = ghvm_device_kinds; k->name; k++, n++) {
		assert_in_range(strlen(k->name), 1, GHVM_DEVICE_NAME_SIZE - 1);
		assert_non_null(k->node);
		assert_true(k->bell || k->no_bell);
		assert_non_null(k->count);
		assert_non_null(k->put_node);
		assert_ptr_equal(ghvm_device_kind(k->name), k);
	}
	assert_true(n >= 2);
	assert_null(ghvm_device_kind("toaster"));
	assert_null(ghvm_device_kind(""));
}

static bool same_text(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Names, addresses and labels of any two rows differ. */
static void no_two_rows_collide(void **state)
{
	for (const struct ghvm_device_kind *a = ghvm_device_kinds; a->name; a++) {
		for (const struct ghvm_device_kind *b = a + 1; b->name; b++) {
			assert_string_not_equal(a->name, b->name);
			assert_false(same_text(a->bell, b->bell));
			assert_false(a->console && b->console);
			if (!a->ipa || !b->ipa)
				continue;
			assert_false(
				overlap(a->ipa, GHVM_IPA_MMIO_PAGE, b->ipa, GHVM_IPA_MMIO_PAGE));
			assert_true(a->no_bell || b->no_bell || a->label != b->label);
		}
	}
}

/* No address of a device is among those that are placed later, or the interrupt controller's. */
static void no_row_is_in_the_way(void **state)
{
	const uint64_t placed = GHVM_PLAN_DEVICES_MAX * GHVM_IPA_MMIO_PAGE;
	const uint64_t gicr = GHVM_SPEC_CPUS_MAX * GHVM_IPA_GICR_SIZE;

	for (const struct ghvm_device_kind *k = ghvm_device_kinds; k->name; k++) {
		if (!k->ipa)
			continue;
		assert_true(ghvm_aligned(k->ipa, GHVM_IPA_MMIO_PAGE));
		assert_false(overlap(k->ipa, GHVM_IPA_MMIO_PAGE, GHVM_IPA_DEVICES, placed));
		assert_false(overlap(k->ipa, GHVM_IPA_MMIO_PAGE, GHVM_IPA_GICR, gicr));
		assert_false(
			overlap(k->ipa, GHVM_IPA_MMIO_PAGE, GHVM_IPA_GICD, GHVM_IPA_GICD_SIZE));
		assert_true(k->ipa < GHVM_IPA_REGIONS); /* traps to the host, abi F.4 */
		assert_true(k->no_bell || k->label < GHVM_DOORBELL_MAX);
	}
	assert_true(GHVM_IPA_DEVICES + placed <= GHVM_IPA_GICR);
}

static void a_descriptor_that_lists_none_has_these(void **state)
{
	const struct ghvm_spec spec = { .console = true, .power_key = true };
	struct ghvm_plan_device v[GHVM_PLAN_DEVICES_MAX];
	size_t n;

	assert_int_equal(ghvm_devices_place(ghvm_device_kinds, &spec, v, &n, NULL), 0);
	assert_int_equal(n, DEMO_DEVICES);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(v[i].name, demo_devices[i].name);
		assert_int_equal(v[i].nth, 0);
		assert_int_equal(v[i].ipa, demo_devices[i].ipa);
		assert_int_equal(v[i].doorbell, demo_devices[i].doorbell);
	}
	assert_int_equal(ghvm_devices_place(ghvm_device_kinds, &(struct ghvm_spec){}, v, &n, NULL),
			 0);
	assert_int_equal(n, 0);
}

/* Each row alone: what it writes is a tree that RM takes, with the node and the vdevice it names. */
static void each_row_writes_its_node(void **state)
{
	for (const struct ghvm_device_kind *k = ghvm_device_kinds; k->name; k++) {
		const struct ghvm_plan_device d = {
			.name = k->name,
			.ipa = k->ipa ?: GHVM_IPA_DEVICES,
			.doorbell = k->no_bell ? GHVM_DOORBELL_NONE : k->label,
		};
		const struct ghvm_dt_machine m = {
			.name = "demo",
			.cmdline = "",
			.ram_ipa = GHVM_IPA_RAM,
			.cpus = 1,
			.quirks = ghvm_quirks_unknown(),
			.devices = &d,
			.n_devices = 1,
		};
		_cleanup_(freep) uint8_t *fdt = NULL;
		char path[80], bell[DT_NAME_SIZE];
		size_t size;
		int at;

		assert_int_equal(ghvm_dt_build(&m, NULL, 0, &fdt, &size, NULL), 0);
		snprintf(path, sizeof(path), "/%s@%llx", k->node, (unsigned long long)d.ipa);
		at = fdt_path_offset(fdt, path);
		assert_true(at > 0);
		assert_non_null(fdt_getprop(fdt, at, "reg", NULL));
		assert_int_equal(!fdt_getprop(fdt, at, "interrupts", NULL), k->no_bell);
		if (k->clock)
			assert_true(fdt_path_offset(fdt, "/apb-pclk") > 0);
		if (k->no_bell)
			continue;
		ghvm_device_bell(&d, bell, sizeof(bell));
		snprintf(path, sizeof(path), "/gunyah-vm-config/vdevices/%s", bell);
		assert_true(fdt_path_offset(fdt, path) > 0);
	}
}

/* ---- a table of the test's own ---- */

static unsigned int one(const struct ghvm_spec *spec)
{
	return 1;
}

static unsigned int as_many_as_regions(const struct ghvm_spec *spec)
{
	return (unsigned int)spec->n_regions;
}

static const struct ghvm_device_kind kinds[] = {
	{ .name = "fixed", .ipa = 0x10003000, .label = 3, .count = one },
	{ .name = "clock", .no_bell = true, .count = one },
	{ .name = "several", .count = as_many_as_regions },
	{},
};

static void places_one_after_the_other(void **state)
{
	const struct ghvm_spec spec = { .n_regions = 28 }; /* labels 4 to 31 */
	struct ghvm_plan_device v[GHVM_PLAN_DEVICES_MAX];
	size_t n;

	assert_int_equal(ghvm_devices_place(kinds, &spec, v, &n, NULL), 0);
	assert_int_equal(n, 30);
	assert_int_equal(v[0].ipa, 0x10003000);
	assert_int_equal(v[0].doorbell, 3);
	assert_int_equal(v[1].ipa, GHVM_IPA_DEVICES);
	assert_int_equal(v[1].doorbell, GHVM_DOORBELL_NONE);
	for (unsigned int i = 0; i < 28; i++) {
		assert_string_equal(v[2 + i].name, "several");
		assert_int_equal(v[2 + i].nth, i);
		assert_int_equal(v[2 + i].ipa, GHVM_IPA_DEVICES + (1 + i) * GHVM_IPA_MMIO_PAGE);
		assert_int_equal(v[2 + i].doorbell, 4 + i);
	}
}

static void refuses_more_than_there_are_doorbells(void **state)
{
	const struct ghvm_spec spec = { .n_regions = 29 };
	struct ghvm_plan_device v[GHVM_PLAN_DEVICES_MAX];
	struct ghvm_error err = {};
	size_t n = 77;

	assert_int_equal(ghvm_devices_place(kinds, &spec, v, &n, &err), -EINVAL);
	assert_string_equal(err.msg, "devices: more than 34, or more than 32 with an interrupt");
	assert_int_equal(n, 77);
}

static void refuses_more_than_there_are_pages(void **state)
{
	static const struct ghvm_device_kind silent[] = {
		{ .name = "silent", .no_bell = true, .count = as_many_as_regions },
		{},
	};
	struct ghvm_spec spec = { .n_regions = GHVM_PLAN_DEVICES_MAX };
	struct ghvm_plan_device v[GHVM_PLAN_DEVICES_MAX];
	size_t n;

	assert_int_equal(ghvm_devices_place(silent, &spec, v, &n, NULL), 0);
	assert_int_equal(n, GHVM_PLAN_DEVICES_MAX);
	spec.n_regions++;
	assert_int_equal(ghvm_devices_place(silent, &spec, v, &n, NULL), -EINVAL);
}

static void doorbells_of_several_are_numbered(void **state)
{
	struct ghvm_plan_device d = demo_devices[0];
	char bell[DT_NAME_SIZE];

	ghvm_device_bell(&d, bell, sizeof(bell));
	assert_string_equal(bell, "bell-uart");
	d.nth = 2;
	ghvm_device_bell(&d, bell, sizeof(bell));
	assert_string_equal(bell, "bell-uart-2");
}

static void devices_of_another_process_name_it(void **state)
{
	struct ghvm_spec spec = {};
	char text[GHVM_DEVICE_BACKEND_SIZE], socket[] = "/run/blk.sock";

	spec.vhost[1] = (struct ghvm_spec_vhost){ .socket = socket, .id = 2 };
	spec.vhost[0] = spec.vhost[1];
	ghvm_device_backend(&spec, "vhost-user", 1, text, sizeof(text));
	assert_string_equal(text, "/run/blk.sock");
	ghvm_device_backend(&spec, "vhost-user", 1, text, 5);
	assert_string_equal(text, "/run");
	ghvm_device_backend(&spec, "vhost-user", 2, text, sizeof(text)); /* there are two */
	assert_string_equal(text, "");
	ghvm_device_backend(&spec, "uart", 0, text, sizeof(text));
	assert_string_equal(text, "");
	ghvm_device_backend(&spec, "toaster", 0, text, sizeof(text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_is_complete),
		cmocka_unit_test(no_two_rows_collide),
		cmocka_unit_test(no_row_is_in_the_way),
		cmocka_unit_test(a_descriptor_that_lists_none_has_these),
		cmocka_unit_test(each_row_writes_its_node),
		cmocka_unit_test(places_one_after_the_other),
		cmocka_unit_test(refuses_more_than_there_are_doorbells),
		cmocka_unit_test(refuses_more_than_there_are_pages),
		cmocka_unit_test(doorbells_of_several_are_numbered),
		cmocka_unit_test(devices_of_another_process_name_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
