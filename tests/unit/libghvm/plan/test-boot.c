/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans of guests that do not boot as a Linux does, and of resource managers that are told so. */
#include "ghvm/guest-map.h"
#include "ghvm/plan.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/quirks.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The header of an arm64 Image that needs 32 MiB, and of none. */
static const uint8_t header[64] = { [19] = 0x02, [56] = 'A', 'R', 'M', 0x64 };
static const uint8_t none[64];

struct bench {
	struct ghvm_spec spec;
	struct ghvm_plan plan;
	struct ghvm_error err;
	struct ghvm_plan_input in;
};

static void bench_done(struct bench *b)
{
	ghvm_plan_done(&b->plan);
	ghvm_spec_done(&b->spec);
}

static const struct ghvm_quirks *find_quirks(const char *generation)
{
	const struct ghvm_quirks *q = ghvm_quirks_row(0);

	for (size_t i = 1; q && strcmp(q->generation, generation) != 0; i++)
		q = ghvm_quirks_row(i);
	assert_non_null(q);
	return q;
}

static struct bench bench_new(const char *generation)
{
	return (struct bench){ .in = { .kernel_header = header,
				       .kernel_header_size = sizeof(header),
				       .kernel_size = GHVM_MIB(32),
				       .quirks = find_quirks(generation) } };
}

/* Plan a VM with 512 MiB of RAM. @kernel, @memory, @more: keys of the descriptor */
static int make(struct bench *b, const char *kernel, const char *memory, const char *more)
{
	char text[512];

	bench_done(b);
	b->err = (struct ghvm_error){};
	snprintf(text, sizeof(text),
		 "version: 1\nkernel: {image: /k%s}\nmemory: {size: 512M%s}\n%s\n", kernel, memory,
		 more);
	assert_int_equal(
		ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), &b->spec, NULL, &b->err),
		0);
	return ghvm_plan_make(&b->spec, &b->in, &b->plan, &b->err);
}

/* Index of the only step of a kind; 0: there is none. */
static size_t find_step(const struct ghvm_plan *p, enum ghvm_step_kind kind)
{
	size_t found = 0;

	for (size_t i = 0; i < p->n_steps; i++) {
		assert_false(found && p->steps[i].kind == kind);
		if (p->steps[i].kind == kind)
			found = i;
	}
	return found;
}

static void sets_registers(void **state)
{
	_cleanup_(bench_done) struct bench b = bench_new("android14");
	_cleanup_(freep) char *text = NULL, *json = NULL;

	assert_int_equal(make(&b, "", "", "boot: {entry: 0x80200000, x0: 0, sp: 0xa0000000}"), 0);
	assert_int_equal(b.plan.n_registers, 3);
	assert_int_equal(b.plan.registers[0].set, 1); /* PC */
	assert_int_equal(b.plan.registers[1].set, 0); /* X */
	assert_int_equal(b.plan.registers[2].set, 2); /* SP */
	assert_int_equal(b.plan.registers[2].index, 1);
	text = ghvm_plan_to_text(&b.plan);
	json = ghvm_plan_to_json(&b.plan);
	assert_non_null(strstr(text, "registers of the boot vCPU\n"
				     "  entry 0x80200000\n"
				     "  x0    0x0\n"
				     "  sp    0xa0000000\n"));
	assert_non_null(strstr(text, "boot-context  (3 VM_SET_BOOT_CONTEXT)\n"));
	assert_non_null(
		strstr(json, "\"registers\":{\"entry\":2149580800,\"x0\":0,\"sp\":2684354560},"));
	assert_non_null(strstr(json, "{\"step\":\"boot-context\",\"messages\":[{\"message\":"
				     "\"VM_SET_BOOT_CONTEXT\",\"count\":[3,3]}]}"));
}

/* After VM_INIT, which makes the vCPU, and before the start. */
static void registers_are_set_between_init_and_start(void **state)
{
	_cleanup_(bench_done) struct bench b = bench_new("android14");
	size_t at;

	assert_int_equal(make(&b, "", "", "boot: {x3: 7}"), 0);
	at = find_step(&b.plan, GHVM_STEP_BOOT_CONTEXT);
	assert_int_equal(b.plan.steps[at - 1].kind, GHVM_STEP_INIT);
	assert_int_equal(b.plan.steps[at + 1].kind, GHVM_STEP_RESOURCES);
	assert_int_equal(make(&b, "", "", ""), 0);
	assert_int_equal(find_step(&b.plan, GHVM_STEP_BOOT_CONTEXT), 0);
}

static void refuses_registers_that_cannot_be(void **state)
{
	static const char *const without[] = { "open-2023", "debug", "unknown" };
	_cleanup_(bench_done) struct bench b = bench_new("v17");
	char want[80];

	assert_int_equal(make(&b, "", "", "boot: {entry: 0x7ffffffc}"), -EINVAL);
	assert_string_equal(b.err.msg,
			    "boot.entry: 0x7ffffffc is not in RAM, 0x80000000 to 0x9fffffff");
	assert_int_equal(make(&b, "", "", "boot: {entry: 0xa0000000}"), -EINVAL);
	assert_int_equal(make(&b, "", "", "boot: {entry: 0x9ffffffc}"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
		b.in.quirks = find_quirks(without[i]);
		snprintf(want, sizeof(want), "boot.x1: this resource manager (%s)", without[i]);
		assert_int_equal(make(&b, "", "", "boot: {x1: 0}"), -EOPNOTSUPP);
		assert_non_null(strstr(b.err.msg, want));
	}
}

/* As QEMU's "virt" has it: RAM from 1 GiB on, the device tree first. */
static void places_what_is_no_image(void **state)
{
	static const char raw[] = ", format: raw", address[] = ", address: 0x40000000",
			  region[] = "regions: [{label: 1, size: 16M}]";
	_cleanup_(bench_done) struct bench b = bench_new("debug");

	b.in.kernel_header = none;
	b.in.initrd_size = 1;
	assert_int_equal(make(&b, "", "", ""), -ENOEXEC);
	assert_int_equal(make(&b, raw, address, region), 0);
	assert_int_equal(b.plan.parcels[0].ipa, 0x40000000);
	assert_int_equal(b.plan.dtb_offset, 0);
	assert_int_equal(b.plan.kernel_offset, GHVM_MIB(2));
	assert_int_equal(b.plan.kernel_size, GHVM_MIB(32));
	assert_int_equal(b.plan.initrd_offset, GHVM_MIB(34));
	assert_int_equal(b.plan.parcels[1].ipa, 0x40000000 + GHVM_MIB(512)); /* behind RAM */

	b.in.kernel_size = 0;
	assert_int_equal(make(&b, raw, address, region), -ENOEXEC);
	assert_string_equal(b.err.msg, "kernel.image: /k: is empty");
	b.in.kernel_size = UINT64_MAX;
	assert_int_equal(make(&b, raw, address, region), -EFBIG);
	b.in.kernel_size = UINT64_MAX - GHVM_MIB(2);
	assert_int_equal(make(&b, raw, address, region), -EFBIG);
	b.in.kernel_size = GHVM_MIB(512);
	assert_int_equal(make(&b, raw, address, region), -EINVAL);
	b.in.kernel_size = GHVM_MIB(32);
	b.in.initrd_size = UINT64_MAX;
	assert_int_equal(make(&b, raw, address, region), -EFBIG);
}

/* Only where it is known; the tree says the same to the others. */
static void tells_where_ram_is(void **state)
{
	static const char *const generations[] = { "open-2023", "debug", "android14", "v17" };
	size_t at;

	for (size_t i = 0; i < ARRAY_SIZE(generations); i++) {
		_cleanup_(bench_done) struct bench b = bench_new(generations[i]);

		assert_int_equal(make(&b, "", ", address: 0x90000000", ""), 0);
		at = find_step(&b.plan, GHVM_STEP_ADDRESS_LAYOUT);
		assert_int_equal(at != 0, !strcmp(generations[i], "v17"));
		if (!at)
			continue;
		assert_int_equal(b.plan.steps[at - 1].kind, GHVM_STEP_CONFIG_IMAGE);
		assert_int_equal(b.plan.steps[at + 1].kind, GHVM_STEP_INIT);
	}
}

/* Behind all files, in RAM; and the resource manager is told after CONFIG_IMAGE. */
static void android_has_a_place_for_firmware(void **state)
{
	_cleanup_(bench_done) struct bench b = bench_new("v17");
	_cleanup_(freep) char *text = NULL, *json = NULL;
	size_t at;

	b.in.initrd_size = GHVM_MIB(5);
	assert_int_equal(make(&b, ", initrd: /i", "", "auth: {type: android}"), 0);
	assert_int_equal(b.plan.initrd_offset, GHVM_MIB(34));
	assert_int_equal(b.plan.firmware_offset, GHVM_MIB(40));
	assert_int_equal(b.plan.firmware_size, GHVM_MIB(4));
	at = find_step(&b.plan, GHVM_STEP_FIRMWARE_MEM);
	assert_int_equal(b.plan.steps[at - 1].kind, GHVM_STEP_CONFIG_IMAGE);
	assert_int_equal(b.plan.steps[at + 1].kind, GHVM_STEP_ADDRESS_LAYOUT);
	text = ghvm_plan_to_text(&b.plan);
	json = ghvm_plan_to_json(&b.plan);
	assert_non_null(strstr(text, "0x082800000  4M         firmware\n"));
	assert_non_null(
		strstr(text, "authentication\n  android, by firmware of the resource manager\n"));
	assert_non_null(strstr(text, "firmware-mem  (VM_SET_FIRMWARE_MEM)\n"));
	assert_non_null(strstr(text, "address-layout  (2 VM_SET_ADDRESS_LAYOUT)\n"));
	assert_non_null(strstr(json, "\"auth\":\"android\","));

	assert_int_equal(make(&b, "", "", "auth: {type: android}\nfirmware: {size: 4K}"), 0);
	assert_int_equal(b.plan.firmware_size, 0x1000);
	assert_int_equal(make(&b, "", "", "auth: {type: android}\nfirmware: {size: 512M}"),
			 -EINVAL);
	assert_non_null(strstr(b.err.msg, "memory.size: 512M is too small"));
	assert_int_equal(
		make(&b, "", "", "auth: {type: android}\nfirmware: {size: 0xfffffffffffff000}"),
		-EINVAL);
}

static void platform_authenticates_before_init(void **state)
{
	_cleanup_(bench_done) struct bench b = bench_new("android14");
	_cleanup_(freep) char *text = NULL;
	size_t at;

	b.in.kernel_header = none;
	assert_int_equal(make(&b, ", format: raw", "", "auth: {type: platform, pas-id: 28}"), 0);
	assert_int_equal(b.plan.firmware_size, 0);
	at = find_step(&b.plan, GHVM_STEP_AUTH_IMAGE);
	assert_int_equal(b.plan.steps[at - 1].kind, GHVM_STEP_CONFIG_IMAGE);
	assert_int_equal(b.plan.steps[at + 1].kind, GHVM_STEP_INIT);
	text = ghvm_plan_to_text(&b.plan);
	assert_non_null(strstr(text, "authentication\n  platform, PAS id 28\n"));
}

static void refuses_an_authentication_that_is_not_known(void **state)
{
	static const struct {
		const char *generation;
		bool android;
		bool platform;
	} rows[] = {
		{ "open-2023", true, false }, { "debug", true, false },
		{ "android14", true, true },  { "v17", true, true },
		{ "unknown", false, false },
	};
	char want[96];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(bench_done) struct bench b = bench_new(rows[i].generation);

		snprintf(want, sizeof(want),
			 "auth.type: this resource manager (%s) is not known to have",
			 rows[i].generation);
		assert_int_equal(make(&b, "", "", "auth: {type: android}"),
				 rows[i].android ? 0 : -EOPNOTSUPP);
		assert_true(rows[i].android || strstr(b.err.msg, want));
		assert_int_equal(make(&b, "", "", "auth: {type: platform, pas-id: 1}"),
				 rows[i].platform ? 0 : -EOPNOTSUPP);
		assert_true(rows[i].platform || strstr(b.err.msg, want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_registers),
		cmocka_unit_test(registers_are_set_between_init_and_start),
		cmocka_unit_test(refuses_registers_that_cannot_be),
		cmocka_unit_test(places_what_is_no_image),
		cmocka_unit_test(tells_where_ram_is),
		cmocka_unit_test(android_has_a_place_for_firmware),
		cmocka_unit_test(platform_authenticates_before_init),
		cmocka_unit_test(refuses_an_authentication_that_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
