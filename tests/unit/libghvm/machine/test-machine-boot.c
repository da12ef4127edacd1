/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a guest boots, with resource managers that can be told. */
#include "ghvm/guest-map.h"
#include "ghvm/machine.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>

static void the_guest_starts_as_the_registers_say(void **state)
{
	static const struct bench_options options = { .host = { .boot_context = true },
						      .demo = { .registers = true } };
	const struct model_registers *r;
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &options);
	assert_int_equal(bench_run(&b, NULL), 0);
	r = &b.f->registers;
	assert_int_equal(r->pc, GHVM_IPA_RAM + 0x1000);
	assert_int_equal(r->x[0], 0);
	assert_int_equal(r->x[1], 0);
	assert_int_equal(r->sp[0], 0);
	assert_int_equal(r->sp[1], GHVM_IPA_RAM + 0x4000);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

/* The plan refuses it first; a resource manager that does not know the message undoes the start. */
static void a_register_that_cannot_be_set_is_no_start(void **state)
{
	static const struct bench_options options = { .demo = { .registers = true } };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	bench_init(&b, &options);
	assert_int_equal(bench_run(&b, &err), -EREMOTEIO);
	assert_int_equal(err.rm_message, GHVM_RM_VM_SET_BOOT_CONTEXT);
	assert_int_equal(err.rm_code, GHVM_RM_UNIMPLEMENTED);
	assert_int_equal(ghvm_machine_step(b.m), GHVM_STEP_BOOT_CONTEXT);
	bench_assert_clean(&b);
}

static const char firmware[] = "firmware";

#define PAS_ID 28

/* The byte at an offset of RAM, which is in one piece. */
static char byte_of_ram(struct bench *b, uint64_t offset)
{
	return (char)fake_rm_ram(b->f, b->f->pins[0].extents[0].pa)[offset];
}

/* It begins with the resource manager's firmware, which knows where tree and kernel are. */
static void android_begins_with_firmware(void **state)
{
	static const struct bench_options options = {
		.host = { .boot_context = true,
			  .address_layout = true,
			  .firmware = firmware,
			  .firmware_size = sizeof(firmware) },
		.demo = { .auth = GHVM_AUTH_ANDROID },
	};
	const struct model_registers *r;
	const struct ghvm_plan *p;
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &options);
	assert_int_equal(bench_run(&b, NULL), 0);
	p = &b.demo.plan;
	r = &b.f->registers;
	assert_int_equal(r->pc, GHVM_IPA_RAM + p->firmware_offset);
	assert_int_equal(r->x[0], GHVM_IPA_RAM + p->dtb_offset);
	assert_int_equal(r->x[1], GHVM_IPA_RAM + p->kernel_offset);
	assert_int_equal(r->x[2], p->kernel_size);
	assert_int_equal(byte_of_ram(&b, p->firmware_offset), 'f');
	assert_int_equal(byte_of_ram(&b, p->firmware_offset + sizeof(firmware)), 0);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

static void assert_refused(const struct bench_options *options, uint32_t message, uint32_t status)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	bench_init(&b, options);
	assert_int_equal(bench_run(&b, &err), -EREMOTEIO);
	assert_int_equal(err.rm_message, message);
	assert_int_equal(err.rm_code, status);
	bench_assert_clean(&b);
}

static void android_without_firmware_is_no_start(void **state)
{
	static const struct bench_options options = { .demo = { .auth = GHVM_AUTH_ANDROID } };

	assert_refused(&options, GHVM_RM_VM_SET_FIRMWARE_MEM, GHVM_RM_DENIED);
}

static void platform_starts_what_is_signed(void **state)
{
	static const struct bench_options good = { .host = { .pas_id = PAS_ID },
						   .demo = { .auth = GHVM_AUTH_PLATFORM,
							     .pas_id = PAS_ID } },
					  bad = { .host = { .pas_id = PAS_ID },
						  .demo = { .auth = GHVM_AUTH_PLATFORM,
							    .pas_id = PAS_ID + 1 } };
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &good);
	assert_int_equal(bench_run(&b, NULL), 0);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
	assert_refused(&bad, GHVM_RM_VM_AUTH_IMAGE, GHVM_RM_ARGUMENT_INVALID);
}

/* The VM is in AUTH, which only a failing VM_AUTH_IMAGE can leave (abi D.1). */
static void a_vm_in_auth_is_undone(void **state)
{
	static const struct bench_options options = {
		.host = { .pas_id = PAS_ID },
		.demo = { .auth = GHVM_AUTH_PLATFORM, .pas_id = PAS_ID },
	};
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &options);
	model_refuse(b.f->model, GHVM_RM_VM_AUTH_IMAGE, GHVM_RM_BUSY, 0);
	assert_int_equal(bench_run(&b, NULL), -EREMOTEIO);
	bench_assert_clean(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guest_starts_as_the_registers_say),
		cmocka_unit_test(a_register_that_cannot_be_set_is_no_start),
		cmocka_unit_test(android_begins_with_firmware),
		cmocka_unit_test(android_without_firmware_is_no_start),
		cmocka_unit_test(platform_starts_what_is_signed),
		cmocka_unit_test(a_vm_in_auth_is_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
