/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a guest of the model boots, as its resource manager is told: registers, RAM, firmware. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/model-tree.h"

static uint32_t set_register(struct bench *b, uint16_t vmid, uint8_t set, uint8_t index,
			     uint32_t reserved, uint64_t value)
{
	uint8_t buf[16];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid);
	ghvm_put_u8(&w, set);
	ghvm_put_u8(&w, index);
	ghvm_put_u32(&w, reserved);
	ghvm_put_u64(&w, value);
	return bench_rm(b, SET_BOOT_CONTEXT, buf, sizeof(buf));
}

/* abi C.5 */
static void registers_of_the_boot_vcpu(void **state)
{
	static const struct {
		uint8_t set;
		uint8_t index;
		uint32_t status;
	} registers[] = {
		{ 0, 0, OK },
		{ 0, 30, OK },
		{ 0, 31, ARGUMENT_INVALID },
		{ 1, 0, OK },
		{ 1, 1, ARGUMENT_INVALID },
		{ 2, 0, OK },
		{ 2, 1, OK },
		{ 2, 2, ARGUMENT_INVALID },
		{ 3, 0, ARGUMENT_INVALID },
	};
	static const struct tree t = {};
	struct model_config config = bench_config();
	_cleanup_(bench_freep) struct bench *b = NULL;
	const struct model_registers *r;
	uint32_t handle;
	uint16_t vmid;

	config.boot_context = true;
	b = bench_new(&config);
	vmid = tree_configure(b, &t, &handle);
	assert_int_equal(set_register(b, 190, 0, 0, 0, 0), VMID_INVALID);
	assert_int_equal(set_register(b, 3, 0, 0, 0, 0), DENIED);
	assert_int_equal(set_register(b, vmid, 0, 0, 0, 0), VM_STATE); /* not before VM_INIT */
	assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
	assert_int_equal(set_register(b, vmid, 0, 0, 1, 0), MSG_INVALID);
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++)
		assert_int_equal(set_register(b, vmid, registers[i].set, registers[i].index, 0,
					      0x1000 * (i + 1)),
				 registers[i].status);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(set_register(b, vmid, 0, 0, 0, 0), VM_STATE);
	r = &b->guests[0].registers;
	assert_int_equal(r->x[0], 0x1000);
	assert_int_equal(r->x[30], 0x2000);
	assert_int_equal(r->pc, 0x4000);
	assert_int_equal(r->sp[0], 0x6000);
	assert_int_equal(r->sp[1], 0x7000);
}

static void a_stack_pointer_must_be_aligned(void **state)
{
	static const struct tree t = {};
	struct model_config config = bench_config();
	_cleanup_(bench_freep) struct bench *b = NULL;
	uint32_t handle;
	uint16_t vmid;

	config.boot_context = true;
	b = bench_new(&config);
	vmid = tree_ready(b, &t, &handle);
	assert_int_equal(set_register(b, vmid, 2, 1, 0, 8), OK); /* not looked at */
	assert_int_equal(bench_rm_vm(b, START, vmid), NORESOURCE);
	assert_int_equal(b->guests[0].n_maps, 0);
	tree_undo(b, vmid, 1);
}

static uint32_t set_layout(struct bench *b, uint16_t vmid, uint16_t reserved, uint32_t range,
			   uint64_t base, uint64_t size)
{
	uint8_t buf[24];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid);
	ghvm_put_u16(&w, reserved);
	ghvm_put_u32(&w, range);
	ghvm_put_u64(&w, base);
	ghvm_put_u64(&w, size);
	return bench_rm(b, SET_ADDRESS_LAYOUT, buf, sizeof(buf));
}

/* abi C.5 */
static void the_place_of_ram(void **state)
{
	static const struct tree t = {};
	struct model_config config = bench_config();
	_cleanup_(bench_freep) struct bench *b = NULL;
	uint32_t handle;
	uint16_t vmid;

	config.address_layout = true;
	b = bench_new(&config);
	assert_int_equal(set_layout(b, bench_allocate(b), 0, 0, BASE, PAGE), NORESOURCE);
	vmid = tree_configure(b, &t, &handle);
	assert_int_equal(set_layout(b, 190, 0, 0, BASE, PAGE), NORESOURCE);
	assert_int_equal(set_layout(b, vmid, 1, 0, BASE, PAGE), MSG_INVALID);
	assert_int_equal(set_layout(b, vmid, 0, 0, BASE + 1, PAGE), ARGUMENT_INVALID);
	assert_int_equal(set_layout(b, vmid, 0, 0, BASE, PAGE + 1), ARGUMENT_INVALID);
	assert_int_equal(set_layout(b, vmid, 0, 0, BASE, 0), ARGUMENT_INVALID);
	assert_int_equal(set_layout(b, vmid, 0, 0, -PAGE, PAGE), ARGUMENT_INVALID);
	assert_int_equal(set_layout(b, vmid, 0, 2, BASE, PAGE), ARGUMENT_INVALID);
	assert_int_equal(set_layout(b, vmid, 0, 0, BASE + 4 * MIB, RAM_SIZE), OK);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
	assert_int_equal(set_layout(b, vmid, 0, 0, BASE, RAM_SIZE), DENIED);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(b->guests[0].maps[0].ipa, BASE + 4 * MIB); /* not what the tree says */
	assert_int_equal(b->guests[0].registers.pc, BASE + 4 * MIB);
}

static uint32_t set_firmware(struct bench *b, uint16_t vmid, uint16_t reserved, uint32_t handle,
			     uint64_t off, uint64_t size)
{
	uint8_t buf[24];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid);
	ghvm_put_u16(&w, reserved);
	ghvm_put_u32(&w, handle);
	ghvm_put_u64(&w, off);
	ghvm_put_u64(&w, size);
	return bench_rm(b, SET_FIRMWARE_MEM, buf, sizeof(buf));
}

/* abi C.5, D.4 */
static void firmware_begins(void **state)
{
	static const struct tree t = {};
	struct model_config config = bench_config();
	_cleanup_(bench_freep) struct bench *b = NULL;
	const struct model_registers *r;
	uint32_t handle;
	uint16_t vmid;

	config.boot_context = true;
	config.firmware = "firmware";
	config.firmware_size = 8;
	b = bench_new(&config);
	b->auth = 2;
	vmid = tree_configure(b, &t, &handle);
	assert_int_equal(set_firmware(b, 190, 0, handle, 0, PAGE), NORESOURCE);
	assert_int_equal(set_firmware(b, 3, 0, handle, 0, PAGE), DENIED);
	assert_int_equal(set_firmware(b, vmid, 1, handle, 0, PAGE), MSG_INVALID);
	assert_int_equal(set_firmware(b, vmid, 0, handle + 1, 0, PAGE), MEM_INVALID);
	assert_int_equal(set_firmware(b, vmid, 0, handle, RAM_SIZE, PAGE), ARGUMENT_INVALID);
	assert_int_equal(set_firmware(b, vmid, 0, handle, 3 * MIB, 2 * PAGE), OK);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
	assert_int_equal(set_firmware(b, vmid, 0, handle, 3 * MIB, PAGE), VM_STATE);
	assert_int_equal(set_register(b, vmid, 0, 0, 0, 0), DENIED);
	assert_int_equal(set_register(b, vmid, 1, 0, 0, 0), DENIED);
	assert_int_equal(set_register(b, vmid, 0, 3, 0, 5), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	r = &b->guests[0].registers;
	assert_int_equal(r->pc, BASE + 3 * MIB);
	assert_int_equal(r->x[0], BASE + DT_OFF);
	assert_int_equal(r->x[1], BASE);
	assert_int_equal(r->x[3], 5);
	assert_memory_equal(bench_ram(b, RAM + 3 * MIB, 8), "firmware", 8);
}

static void firmware_needs_its_place(void **state)
{
	static const struct tree t = {};
	struct model_config config = bench_config();
	_cleanup_(bench_freep) struct bench *b = NULL;
	uint32_t handle;
	uint16_t vmid;

	b = bench_new(&config);
	vmid = tree_configure(b, &t, &handle);
	assert_int_equal(set_firmware(b, vmid, 0, handle, 0, PAGE), ARGUMENT_INVALID);
	bench_freep(&b);

	b = bench_new(&config);
	b->auth = 2;
	vmid = tree_configure(b, &t, &handle);
	assert_int_equal(set_firmware(b, vmid, 0, handle, 0, PAGE), DENIED); /* it has none */
	assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), NORESOURCE);
	assert_int_equal(b->guests[0].n_maps, 0);
	tree_undo(b, vmid, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_of_the_boot_vcpu),
		cmocka_unit_test(a_stack_pointer_must_be_aligned),
		cmocka_unit_test(the_place_of_ram),
		cmocka_unit_test(firmware_begins),
		cmocka_unit_test(firmware_needs_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
