/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each message about how a VM boots: its bytes, a reply too long by one, refusals, wrong VMIDs. */
#include "libghvm/rm/boot-calls.h"
#include "libghvm/rm/vm-calls.h"

#include "libghvm/base/bits.h"
#include "tests/fixtures/rm.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static struct ghvm_vmid vm = { 0x8f };

static const uint8_t v_request[] = { 0x8f, 0x00, 0x00, 0x00 };

static int do_config_android(struct fixture *f)
{
	static const struct ghvm_rm_image android = {
		.parcel = { 0x01020304 },
		.parcel_size = 0x10000000,
		.auth = GHVM_RM_AUTH_ANDROID,
		.image_offset = 0x1000,
		.image_size = 0x2000,
		.dt_offset = 0x0f000000,
		.dt_size = 0x100000,
	};

	return ghvm_rm_vm_config_image(f->rm, vm, &android, &f->err);
}

static int do_auth(struct fixture *f)
{
	return ghvm_rm_vm_auth_image(f->rm, vm, 0x12345678, &f->err);
}

static int do_auth_nothing(struct fixture *f)
{
	return ghvm_rm_vm_auth_image(f->rm, vm, 0, &f->err);
}

static int do_firmware_mem(struct fixture *f)
{
	const struct ghvm_parcel_handle parcel = { 0x01020304 };

	return ghvm_rm_vm_set_firmware_mem(f->rm, vm, parcel, 0x2000000, 0x400000, &f->err);
}

static int do_boot_context(struct fixture *f)
{
	return ghvm_rm_vm_set_boot_context(f->rm, vm, GHVM_RM_REGISTER_SP, 1, 0x0123456789abcdef,
					   &f->err);
}

static const uint8_t android_request[] = {
	0x8f, 0x00, 0x02, 0x00, 0x04, 0x03, 0x02, 0x01, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0f,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00,
};
static const uint8_t auth_request[] = {
	0x8f, 0x00, 0x01, 0x00, 0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12,
};
static const uint8_t firmware_mem_request[] = {
	0x8f, 0x00, 0, 0, 0x04, 0x03, 0x02, 0x01, 0, 0, 0, 0x02,
	0,    0,    0, 0, 0,	0,    0x40, 0,	  0, 0, 0, 0,
};

static int do_address_layout(struct fixture *f)
{
	return ghvm_rm_vm_set_address_layout(f->rm, vm, GHVM_RM_RANGE_FIRMWARE, 0x123456789a000,
					     0xfedcb000, &f->err);
}

static const uint8_t address_layout_request[] = {
	0x8f, 0x00, 0,	  0, 0x01, 0,	 0,    0,    0x00, 0xa0, 0x89, 0x67,
	0x45, 0x23, 0x01, 0, 0x00, 0xb0, 0xdc, 0xfe, 0,	   0,	 0,    0,
};
static const uint8_t boot_context_request[] = {
	0x8f, 0x00, 0x02, 0x01, 0, 0, 0, 0, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01,
};

static const struct message {
	uint32_t id;
	const char *name;
	int (*call)(struct fixture *f);
	const uint8_t *request;
	size_t request_len;
} messages[] = {
	{ 0x56000009, "VM_CONFIG_IMAGE", do_config_android, android_request, 40 },
	{ 0x5600000a, "VM_AUTH_IMAGE", do_auth, auth_request, 12 },
	{ 0x5600000a, "VM_AUTH_IMAGE", do_auth_nothing, v_request, 4 },
	{ 0x56000032, "VM_SET_FIRMWARE_MEM", do_firmware_mem, firmware_mem_request, 24 },
	{ 0x56000034, "VM_SET_ADDRESS_LAYOUT", do_address_layout, address_layout_request, 24 },
	{ 0x56000031, "VM_SET_BOOT_CONTEXT", do_boot_context, boot_context_request, 16 },
};

static void golden_requests(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		const struct message *m = &messages[i];
		size_t before = f->s->n_requests;

		script_answer(f->s, m->id, 0, NULL, 0);
		assert_int_equal(m->call(f), 0);
		assert_int_equal(f->s->n_requests, before + 1); /* one message each */
		assert_int_equal(script_last(f->s)->id, m->id);
		assert_int_equal(script_last(f->s)->len, m->request_len);
		assert_memory_equal(script_last(f->s)->payload, m->request, m->request_len);
	}
}

static void bad_replies(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		const struct message *m = &messages[i];

		script_answer(f->s, m->id, 0, v_request, 1);
		assert_int_equal(m->call(f), -EBADMSG);
		assert_non_null(strstr(f->err.msg, m->name));
		script_answer(f->s, m->id, GHVM_RM_DENIED, NULL, 0);
		assert_int_equal(m->call(f), -EREMOTEIO);
		assert_int_equal(f->err.rm_code, GHVM_RM_DENIED);
		assert_int_equal(f->err.rm_message, m->id);
		assert_non_null(strstr(f->err.msg, "143"));
	}
}

static void neither_ourselves_nor_nothing(void **state)
{
	static const struct ghvm_vmid wrong[] = { { 0 }, { SCRIPT_VMID } };
	struct fixture *f = *state;
	size_t n = f->s->n_requests;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		vm = wrong[i];
		for (size_t k = 0; k < ARRAY_SIZE(messages); k++)
			assert_int_equal(messages[k].call(f), -EINVAL);
	}
	vm = (struct ghvm_vmid){ 0x8f };
	assert_int_equal(f->s->n_requests, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(golden_requests, rm_bench_setup, rm_bench_teardown),
		cmocka_unit_test_setup_teardown(bad_replies, rm_bench_setup, rm_bench_teardown),
		cmocka_unit_test_setup_teardown(neither_ourselves_nor_nothing, rm_bench_setup,
						rm_bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
