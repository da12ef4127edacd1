/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device trees, read back with libfdt as RM would. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/dt.h"
#include "ghvm/plan.h"
#include "tests/fixtures/devices.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

static const struct ghvm_dt_region regions[] = {
	{ 7, 0x50000000, 0x1000000 },
	{ 0x24, 0x60000000, 0x1000 },
};

#define TREE_SIZE 0x4000 /* abi K.7 */

static struct ghvm_dt_machine machine(void)
{
	return (struct ghvm_dt_machine){
		.name = "demo",
		.cmdline = "console=ttyS0",
		.ram_ipa = GHVM_IPA_RAM,
		.initrd_ipa = 0x84000000,
		.initrd_size = 0x12345,
		.kaslr_seed = 0x0123456789abcdef,
		.cpus = 4,
		.quirks = ghvm_quirks_unknown(),
		.devices = demo_devices,
		.n_devices = DEMO_DEVICES,
		.regions = regions,
		.n_regions = ARRAY_SIZE(regions),
	};
}

static uint8_t *build(const struct ghvm_dt_machine *m)
{
	uint8_t *fdt;
	size_t size;

	assert_int_equal(ghvm_dt_build(m, NULL, 0, &fdt, &size, NULL), 0);
	assert_int_equal(fdt_check_full(fdt, size), 0);
	assert_int_equal(fdt_totalsize((const void *)fdt), size);
	assert_int_equal(size % ghvm_quirk(m->quirks, GHVM_QUIRK_TREE_ALIGN), 0);
	assert_true(size < ghvm_quirk(m->quirks, GHVM_QUIRK_TREE_SIZE));
	return fdt;
}

static const char *text(const void *fdt, const char *path, const char *name)
{
	const char *s = fdt_getprop(fdt, fdt_path_offset(fdt, path), name, NULL);

	assert_non_null(s);
	return s;
}

static uint64_t number(const void *fdt, const char *path, const char *name, size_t at)
{
	int len;
	const uint8_t *p = fdt_getprop(fdt, fdt_path_offset(fdt, path), name, &len);

	assert_non_null(p);
	assert_true(at * 8 + 8 <= (size_t)len);
	return fdt64_ld((const fdt64_t *)(const void *)(p + at * 8));
}

static uint32_t cell(const void *fdt, const char *path, const char *name, size_t at)
{
	int len;
	const uint8_t *p = fdt_getprop(fdt, fdt_path_offset(fdt, path), name, &len);

	assert_non_null(p);
	assert_true(at * 4 + 4 <= (size_t)len);
	return fdt32_ld((const fdt32_t *)(const void *)(p + at * 4));
}

/* abi D.7: what RM will not do without, and what it refuses. */
static void has_what_rm_reads(void **state)
{
	const struct ghvm_dt_machine m = machine();
	_cleanup_(freep) uint8_t *fdt = build(&m);

	assert_string_equal(text(fdt, "/gunyah-vm-config", "image-name"), "demo");
	assert_int_equal(number(fdt, "/gunyah-vm-config/memory", "base-address", 0), GHVM_IPA_RAM);
	assert_string_equal(text(fdt, "/gunyah-vm-config/vcpus", "affinity"), "proxy");
	assert_string_equal(text(fdt, "/gunyah-vm-config/interrupts", "config"),
			    "/interrupt-controller@3fff0000");
	assert_true(fdt_path_offset(fdt, "/interrupt-controller@3fff0000") > 0);
	assert_true(fdt_path_offset(fdt, "/chosen") > 0);
	assert_true(fdt_path_offset(fdt, "/psci") > 0);
	assert_true(fdt_path_offset(fdt, "/hypervisor") < 0);
	assert_true(fdt_path_offset(fdt, "/memory") < 0);
	assert_true(fdt_path_offset(fdt, "/gunyah-vm-config/vdevices/rm-rpc") < 0);
}

static void doorbells_are_the_devices_interrupts(void **state)
{
	const struct ghvm_dt_machine m = machine();
	_cleanup_(freep) uint8_t *fdt = build(&m);
	static const char *const pairs[][2] = {
		{ "/gunyah-vm-config/vdevices/bell-uart", "/serial@10000000" },
		{ "/gunyah-vm-config/vdevices/bell-gpio", "/gpio@10001000" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		assert_string_equal(text(fdt, pairs[i][0], "vdevice-type"), "doorbell");
		assert_int_equal(cell(fdt, pairs[i][0], "label", 0), i);
		for (size_t at = 0; at < 3; at++) /* SPI, label, edge */
			assert_int_equal(cell(fdt, pairs[i][0], "interrupts", at),
					 cell(fdt, pairs[i][1], "interrupts", at));
		assert_int_equal(cell(fdt, pairs[i][0], "interrupts", 2), 1);
		assert_null(fdt_getprop(fdt, fdt_path_offset(fdt, pairs[i][0]), "source-can-clear",
					NULL));
	}
}

static void redistributors_do_not_reach_the_distributor(void **state)
{
	struct ghvm_dt_machine m = machine();
	uint8_t *fdt;
	uint64_t gicr, size;

	m.cpus = GHVM_SPEC_CPUS_MAX;
	fdt = build(&m);
	gicr = number(fdt, "/interrupt-controller@3fff0000", "reg", 2);
	size = number(fdt, "/interrupt-controller@3fff0000", "reg", 3);
	assert_int_equal(size, GHVM_SPEC_CPUS_MAX * 0x20000);
	assert_true(gicr + size <= GHVM_IPA_GICD);
	free(fdt);
}

/* abi K.7: a region needs both, with the same label and place. */
static void regions_are_said_twice(void **state)
{
	const struct ghvm_dt_machine m = machine();
	_cleanup_(freep) uint8_t *fdt = build(&m);
	const char *node = "/reserved-memory/window@60000000";
	const char *vdev = "/gunyah-vm-config/vdevices/shm-24";

	assert_string_equal(text(fdt, node, "compatible"), "restricted-dma-pool");
	assert_int_equal(number(fdt, node, "reg", 0), 0x60000000);
	assert_int_equal(number(fdt, node, "reg", 1), 0x1000);
	assert_int_equal(cell(fdt, node, "qcom,label", 0), 0x24);
	assert_string_equal(text(fdt, vdev, "vdevice-type"), "shm");
	assert_int_equal(cell(fdt, "/gunyah-vm-config/vdevices/shm-24/memory", "label", 0), 0x24);
	assert_int_equal(number(fdt, "/gunyah-vm-config/vdevices/shm-24/memory", "base", 0),
			 0x60000000);
}

static void says_what_is_loaded(void **state)
{
	struct ghvm_dt_machine m = machine();
	uint8_t *fdt = build(&m);

	assert_string_equal(text(fdt, "/chosen", "bootargs"), "console=ttyS0");
	assert_int_equal(number(fdt, "/chosen", "linux,initrd-start", 0), 0x84000000);
	assert_int_equal(number(fdt, "/chosen", "linux,initrd-end", 0), 0x84012345);
	assert_int_equal(number(fdt, "/chosen", "kaslr-seed", 0), 0x0123456789abcdef);
	assert_int_equal(cell(fdt, "/gpio-keys/power", "linux,code", 0), 116);
	assert_non_null(fdt_getprop(fdt, fdt_path_offset(fdt, "/gpio-keys/power"), "wakeup-source",
				    NULL)); /* else it does not wake a guest that sleeps */
	free(fdt);

	m.initrd_size = 0;
	m.n_devices = 0;
	m.n_regions = 0;
	m.rm_rpc = true;
	fdt = build(&m);
	assert_null(fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "linux,initrd-start", NULL));
	assert_true(fdt_path_offset(fdt, "/serial@10000000") < 0);
	assert_true(fdt_path_offset(fdt, "/gpio-keys") < 0);
	assert_true(fdt_path_offset(fdt, "/reserved-memory") < 0);
	assert_non_null(text(fdt, "/gunyah-vm-config/vdevices/rm-rpc", "generate"));
	free(fdt);
}

static void refuses_a_tree_that_is_too_large(void **state)
{
	struct ghvm_dt_machine m = machine();
	struct ghvm_error err = {};
	char *cmdline = malloc(TREE_SIZE + 1);
	uint8_t *fdt = NULL;
	size_t size;

	memset(cmdline, 'x', TREE_SIZE);
	cmdline[TREE_SIZE] = '\0';
	m.cmdline = cmdline;
	assert_int_equal(ghvm_dt_build(&m, NULL, 0, &fdt, &size, &err), -EINVAL);
	assert_null(fdt);
	free(cmdline);
}

/* ---- overlays ---- */

#define OVERLAY_ROOM 1024

/* One fragment for @target; its node @name gets @prop (a string, or a cell if NULL). */
static size_t overlay(uint8_t *buf, const char *target, const char *name, const char *prop,
		      const char *value, uint32_t num)
{
	assert_int_equal(fdt_create(buf, OVERLAY_ROOM), 0);
	assert_int_equal(fdt_finish_reservemap(buf), 0);
	(void)fdt_begin_node(buf, "");
	(void)fdt_begin_node(buf, "fragment@0");
	(void)fdt_property_string(buf, "target-path", target);
	(void)fdt_begin_node(buf, "__overlay__");
	if (name)
		(void)fdt_begin_node(buf, name);
	if (prop && value)
		(void)fdt_property_string(buf, prop, value);
	else if (prop)
		(void)fdt_property_u32(buf, prop, num);
	if (name)
		(void)fdt_end_node(buf);
	(void)fdt_end_node(buf);
	(void)fdt_end_node(buf);
	(void)fdt_end_node(buf);
	assert_int_equal(fdt_finish(buf), 0);
	return fdt_totalsize((const void *)buf);
}

static void applies_an_overlay(void **state)
{
	const struct ghvm_dt_machine m = machine();
	uint8_t buf[OVERLAY_ROOM], *fdt;
	size_t size, n = overlay(buf, "/", "sensor", "compatible", "acme,sensor", 0);

	assert_int_equal(ghvm_dt_build(&m, buf, n, &fdt, &size, NULL), 0);
	assert_int_equal(size % 8, 0);
	assert_string_equal(text(fdt, "/sensor", "compatible"), "acme,sensor");
	assert_string_equal(text(fdt, "/gunyah-vm-config", "image-name"), "demo");
	free(fdt);
}

static const struct {
	const char *target;
	const char *name;
	const char *prop;
	const char *value;
	uint32_t number;
	const char *complaint;
} harmful[] = {
	{ "/", "memory@0", "device_type", "memory", 0, "/memory@0: the resource manager creates" },
	{ "/", "hypervisor", NULL, NULL, 0, "/hypervisor: the resource manager creates" },
	{ "/gunyah-vm-config/vdevices", "rpc", "vdevice-type", "rm-rpc", 0,
	  "without \"generate\"" },
	{ "/gunyah-vm-config/vdevices", "input", "virtio,device-type", NULL, 18, "virtio input" },
	{ "/gunyah-vm-config/vcpus", NULL, "affinity", "static", 0, "not \"proxy\"" },
	{ "/nosuch", "x", NULL, NULL, 0, "the tree has no such node" },
	/* found by the same paths as the nodes of the library, and before them */
	{ "/", "hypervisor@0", NULL, NULL, 0, "/hypervisor@0: the resource manager creates" },
	{ "/", "gunyah-vm-config@0", NULL, NULL, 0, "instead of /gunyah-vm-config" },
	{ "/", "qcom,vm-config", NULL, NULL, 0, "instead of /gunyah-vm-config" },
	{ "/gunyah-vm-config", "vcpus@0", NULL, NULL, 0, "/vcpus@0: the end of a VM" },
};

/* A list of strings is taken for its first, and one without an end for a whole one. */
static void refuses_what_only_looks_harmless(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} types[] = { { "rm-rpc\0shm", 11 }, { "rm-rpc", 6 } };
	const struct ghvm_dt_machine m = machine();

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t buf[OVERLAY_ROOM], *fdt = NULL;
		struct ghvm_error err = {};
		size_t size;
		int at;

		(void)overlay(buf, "/gunyah-vm-config/vdevices", "rpc", "x", "", 0);
		assert_int_equal(fdt_open_into(buf, buf, sizeof(buf)), 0);
		at = fdt_path_offset(buf, "/fragment@0/__overlay__/rpc");
		assert_int_equal(
			fdt_setprop(buf, at, "vdevice-type", types[i].bytes, (int)types[i].n), 0);
		assert_int_equal(fdt_pack(buf), 0);
		assert_int_equal(
			ghvm_dt_build(&m, buf, fdt_totalsize((const void *)buf), &fdt, &size, &err),
			-EINVAL);
		assert_non_null(strstr(err.msg, "without \"generate\""));
	}
}

static void refuses_too_many_doorbells(void **state)
{
	const struct ghvm_dt_machine m = machine();
	_cleanup_(freep) uint8_t *buf = calloc(1, 8192);
	struct ghvm_error err = {};
	uint8_t *fdt;
	size_t size;
	int at;

	(void)overlay(buf, "/gunyah-vm-config/vdevices", NULL, NULL, NULL, 0);
	assert_int_equal(fdt_open_into(buf, buf, 8192), 0);
	at = fdt_path_offset(buf, "/fragment@0/__overlay__");
	for (int i = 0; i < 31; i++) {
		char name[16];

		snprintf(name, sizeof(name), "more-%d", i);
		if (i == 30) { /* with the machine's own two: 32, and then one more */
			assert_int_equal(ghvm_dt_build(&m, buf, 8192, &fdt, &size, &err), 0);
			free(fdt);
		}
		assert_int_equal(fdt_setprop_string(buf, fdt_add_subnode(buf, at, name),
						    "vdevice-type", "doorbell"),
				 0);
	}
	assert_int_equal(ghvm_dt_build(&m, buf, 8192, &fdt, &size, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "33 doorbells"));
}

/* To tell a guest that is believed to have a link kills RM: no overlay may take it away. */
static void refuses_overlays_that_take_the_link_away(void **state)
{
	static const struct {
		const char *target;
		const char *name;
		const char *prop;
		const char *value;
	} v[] = {
		{ "/gunyah-vm-config/vdevices/rm-rpc", NULL, "vdevice-type", "shm" },
		{ "/gunyah-vm-config/vdevices/rm-rpc", NULL, "status", "disabled" },
		{ "/gunyah-vm-config/vdevices", "rm-rpc@0", "vdevice-type", "shm" },
		{ "/gunyah-vm-config", "vdevices@0", "generate", "/hypervisor" },
	};
	struct ghvm_dt_machine m = machine();

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		uint8_t buf[OVERLAY_ROOM], *fdt = NULL;
		struct ghvm_error err = {};
		size_t size, n;

		m.rm_rpc = true;
		n = overlay(buf, v[i].target, v[i].name, v[i].prop, v[i].value, 0);
		assert_int_equal(ghvm_dt_build(&m, buf, n, &fdt, &size, &err), -EINVAL);
		assert_null(fdt);
		assert_non_null(strstr(err.msg, "removes the rm-rpc vdevice"));
	}
	m.rm_rpc = false; /* none was asked for */
	{
		uint8_t buf[OVERLAY_ROOM], *fdt = NULL;
		size_t size, n = overlay(buf, v[3].target, v[3].name, v[3].prop, v[3].value, 0);

		assert_int_equal(ghvm_dt_build(&m, buf, n, &fdt, &size, NULL), 0);
		free(fdt);
	}
}

static void refuses_overlays_that_do_harm(void **state)
{
	const struct ghvm_dt_machine m = machine();

	for (size_t i = 0; i < ARRAY_SIZE(harmful); i++) {
		uint8_t buf[OVERLAY_ROOM], *fdt = NULL;
		struct ghvm_error err = {};
		size_t size, n;

		n = overlay(buf, harmful[i].target, harmful[i].name, harmful[i].prop,
			    harmful[i].value, harmful[i].number);
		assert_int_equal(ghvm_dt_build(&m, buf, n, &fdt, &size, &err), -EINVAL);
		assert_null(fdt);
		if (!strstr(err.msg, harmful[i].complaint))
			fail_msg("%s", err.msg);
	}
}

/* Each byte changed in turn, and each shorter length: an error or a good tree. */
static void survives_any_overlay(void **state)
{
	const struct ghvm_dt_machine m = machine();
	uint8_t good[OVERLAY_ROOM];
	size_t n = overlay(good, "/", "sensor", "compatible", "acme,sensor", 0);

	for (size_t at = 0; at < n; at++) {
		uint8_t *copy = malloc(n), *fdt;
		size_t size;

		memcpy(copy, good, n);
		copy[at] ^= 0xff;
		if (ghvm_dt_build(&m, copy, n, &fdt, &size, NULL) == 0) {
			assert_int_equal(fdt_check_full(fdt, size), 0);
			free(fdt);
		}
		free(copy);

		copy = malloc(at ? at : 1);
		memcpy(copy, good, at);
		assert_int_equal(ghvm_dt_build(&m, copy, at, &fdt, &size, NULL), -EINVAL);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_what_rm_reads),
		cmocka_unit_test(doorbells_are_the_devices_interrupts),
		cmocka_unit_test(redistributors_do_not_reach_the_distributor),
		cmocka_unit_test(regions_are_said_twice),
		cmocka_unit_test(says_what_is_loaded),
		cmocka_unit_test(refuses_a_tree_that_is_too_large),
		cmocka_unit_test(applies_an_overlay),
		cmocka_unit_test(refuses_overlays_that_do_harm),
		cmocka_unit_test(refuses_overlays_that_take_the_link_away),
		cmocka_unit_test(refuses_what_only_looks_harmless),
		cmocka_unit_test(refuses_too_many_doorbells),
		cmocka_unit_test(survives_any_overlay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
