/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests of the model up to READY: whole lives, trees that RM takes and refuses, resources. */
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/model-tree.h"

/* From LEND to DEALLOCATE, as a well-behaved host does it. */
static void a_whole_life(void **state)
{
	static const struct tree t = { .cpus = 2 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const struct bench_guest *g = &b->guests[0];
	struct model_counts n;
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);

	assert_int_equal(model_slot(b->m, vmid), 0);
	assert_true(g->exists);
	assert_int_equal(g->n_vcpus, 2);
	assert_int_equal(g->gicd, 0x3fff0000);
	assert_int_equal(g->n_maps, 0); /* not before START */
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(bench_state(b, vmid), STATE_RUNNING);
	assert_true(g->started);
	assert_int_equal(g->registers.pc, BASE);
	assert_int_equal(g->registers.x[0], BASE + DT_OFF);
	assert_int_equal(g->n_maps, 1);
	assert_int_equal(g->maps[0].ipa, BASE);
	assert_int_equal(g->maps[0].pa, RAM);
	assert_int_equal(g->maps[0].rights, 7);

	/* abi K.6, row RUNNING */
	assert_int_equal(bench_reclaim(b, handle, false), MEM_INUSE);
	assert_int_equal(bench_rm_vm(b, RESET, vmid), VM_STATE);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), VM_STATE);
	assert_int_equal(bench_rm_vm(b, START, vmid), VM_STATE);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), VM_STATE);

	assert_int_equal(tree_stop(b, vmid, 1), OK);
	assert_true(g->killed);
	assert_int_equal(bench_state(b, vmid), STATE_EXITED);
	assert_int_equal(bench_note(b, NOTE_EXITED, 0)->payload[2], 7);

	/* row EXITED */
	assert_int_equal(bench_reclaim(b, handle, false), MEM_INUSE);
	assert_int_equal(tree_stop(b, vmid, 1), VM_STATE);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), VM_STATE);

	bench_forget_notes(b);
	tree_undo(b, vmid, 1);
	assert_int_equal(bench_note(b, NOTE_MEM_RELEASED, 0)->payload[4], vmid);
	assert_int_equal(bench_note(b, NOTE_STATUS, 0)->payload[4], STATE_RESETTING);
	assert_int_equal(bench_note(b, NOTE_STATUS, 1)->payload[4], STATE_RESET);
	model_counts(b->m, &n);
	assert_int_equal(n.heap_used, 0);
}

static void twice_in_a_row_leaks_nothing(void **state)
{
	static const struct tree t = { .cpus = 2, .bells = 3, .rm_rpc = true, .source = true };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	for (uint32_t i = 0; i < 20; i++) {
		uint32_t handle;
		uint16_t vmid = tree_ready(b, &t, &handle);

		assert_int_equal(vmid, 0x80);
		assert_int_equal(handle, i);
		assert_int_equal(bench_rm_vm(b, START, vmid), OK);
		assert_int_equal(tree_stop(b, vmid, 1), OK);
		assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
		assert_int_equal(bench_reclaim(b, handle, false), OK);
		assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), OK);
		tree_assert_nothing_left(b);
		bench_forget_notes(b);
	}
}

/* abi K.6: in READY everything can be taken back at once. */
static void ready_is_undone(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);

	assert_int_equal(tree_stop(b, vmid, 1), VM_STATE);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), VM_STATE);
	assert_int_equal(bench_reclaim(b, handle, false), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), NORESOURCE); /* no image */
	assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
	tree_undo(b, vmid, 0);
}

static void trees_that_init_refuses(void **state)
{
	static const struct {
		const char *what;
		uint32_t status;
		struct tree t;
	} bad[] = {
		{ "no configuration", MEM_INVALID, { .without = "config" } },
		{ "no name", ARGUMENT_INVALID, { .without = "image-name" } },
		{ "no chosen", ARGUMENT_INVALID, { .without = "chosen" } },
		{ "no vcpus", NORESOURCE, { .without = "vcpus" } },
		{ "static vCPUs", NORESOURCE, { .affinity = "static" } },
		{ "more vCPUs than CPUs", NORESOURCE, { .cpus = 5, .gicr_size = 0x100000 } },
		{ "no way to start a CPU",
		  ARGUMENT_INVALID,
		  { .cpus = 2, .enable_method = "spin" } },
		{ "no interrupts", ARGUMENT_INVALID, { .without = "interrupts" } },
		{ "interrupts of nobody", ARGUMENT_INVALID, { .interrupts = "/nobody" } },
		{ "another GIC", ARGUMENT_INVALID, { .without = "gic" } },
		{ "small GICR", ARGUMENT_INVALID, { .cpus = 2, .gicr_size = 0x20000 } },
		{ "base unaligned", ARGUMENT_INVALID, { .base = BASE + 1 } },
		{ "hypervisor", ARGUMENT_INVALID, { .extra = "hypervisor" } },
		{ "other memory", ARGUMENT_INVALID, { .extra = "memory@0" } },
		{ "bell to nobody", ARGUMENT_INVALID, { .without = "peer-default" } },
		{ "bell on a PPI", ARGUMENT_INVALID, { .bell_kind = 1 } },
		{ "bell out of range", ARGUMENT_INVALID, { .bell_spi = 96 } },
		{ "virtio", NORESOURCE, { .vdev = "virtio-mmio" } },
		{ "too many bells", NORESOURCE, { .bells = 73 } },
		{ "no heap for bells", MEM_INVALID, { .bells = 72 } },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
		uint32_t handle;
		uint16_t vmid = tree_configure(b, &bad[i].t, &handle);

		if (bench_rm_vm(b, INIT, vmid) != bad[i].status)
			fail_msg("%s", bad[i].what);
		assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
		assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), OK);
		assert_int_equal(bench_reply_u32(b, 0), 0);
		assert_int_equal(bench_reclaim(b, handle, false), OK);
		tree_undo(b, vmid, 0);
	}
}

static void trees_that_are_fine(void **state)
{
	static const struct tree fine[] = {
		{ .phandle = true },
		{ .without = "gic-reg" },
		{ .without = "bell-interrupts" },
		{ .without = "bell-generate" },
		{ .cpus = 4, .gicr_size = 0x80000 },
		{ .bells = 38 },
		{ .extra = "memory" },
		{ .size_max = RAM_SIZE },
	};

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
		uint32_t handle;
		uint16_t vmid = tree_ready(b, &fine[i], &handle);

		assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	}
}

static void garbage_is_no_tree(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint8_t *dt = bench_ram(b, RAM + DT_OFF, DT_SIZE);
	uint32_t size;

	tree_make(dt, &t);
	size = fdt_totalsize((const void *)dt);
	for (uint32_t i = 0; i < size + 1; i += i < 64 ? 4 : 61) {
		uint32_t handle;

		tree_make(dt, &t);
		if (i < size)
			dt[i] ^= 0x80;
		assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &tree_ram, 1), OK);
		handle = bench_reply_u32(b, 0);
		assert_int_equal(tree_config_image(b, vmid, handle, i < size ? DT_SIZE : size - 1),
				 OK);
		bench_rm_vm(b, INIT, vmid); /* says what it likes, and survives */
		if (bench_state(b, vmid) == STATE_READY)
			bench_rm_vm(b, START, vmid);
		(void)tree_stop(b, vmid, 1);
		assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
		assert_int_equal(bench_reclaim(b, handle, false), OK);
		bench_forget_notes(b);
	}
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &tree_ram, 1), OK);
	assert_int_equal(tree_config_image(b, vmid, bench_reply_u32(b, 0), 0), OK);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), MEM_INVALID); /* abi K.9 */
}

/* u8 type, u8 0, u16 partner, u32 handle, u32 label, u64 cap, u32 ~0, u32 virq, u64, u64 */
static void resources(void **state)
{
	static const struct tree t = { .cpus = 2, .bells = 2, .source = true, .rm_rpc = true };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct ghvm_get g;
	uint64_t x[8];
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);
	static const uint8_t types[] = { 4, 4, 1, 0 };

	assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), OK);
	assert_int_equal(b->reply_len, 4 + 4 * 44);
	g = (struct ghvm_get){ .buf = b->reply, .len = b->reply_len };
	assert_int_equal(ghvm_get_u32(&g), 4);
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t cap;
		uint32_t virq;

		assert_int_equal(ghvm_get_u8(&g), types[i]);
		assert_int_equal(ghvm_get_u8(&g), 0);
		assert_int_equal(ghvm_get_u16(&g), vmid);
		assert_int_equal(ghvm_get_u32(&g), 0);
		assert_int_equal(ghvm_get_u32(&g), i < 2 ? i : i - 2);
		cap = ghvm_get_u64(&g);
		assert_int_equal(ghvm_get_u32(&g), 0xffffffff);
		virq = ghvm_get_u32(&g);
		assert_int_equal(virq != 0, types[i] != 0); /* TX needs none */
		assert_int_equal(ghvm_get_u64(&g) | ghvm_get_u64(&g), 0);

		x[1] = cap;
		x[2] = 1;
		if (types[i] == 0) {
			assert_int_equal(bench_call(b, 0x12, x), 0);
			assert_int_equal(b->guests[0].irqs[1], 1);
			x[1] = cap;
			assert_int_equal(bench_call(b, 0x13, x), 53); /* no source-can-clear */
		} else if (types[i] == 1) {
			assert_int_equal(bench_call(b, 0x13, x), 0);
			x[1] = cap;
			assert_int_equal(bench_call(b, 0x12, x), 53);
		} else {
			assert_int_equal(bench_call(b, 0x3a, x), 53);
			x[1] = cap;
			assert_int_equal(bench_call(b, 0x65, x), 0);
			assert_int_equal(x[1], 2); /* READY: powered off, but not for good */
			assert_int_equal(x[2], 0);
		}
	}
	assert_int_equal(ghvm_get_end(&g), 0);
	/* long replies come in several packets */
	assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
	assert_int_equal(bench_call(b, 0x65, x), 50);
}

static void a_reply_of_many_packets(void **state)
{
	static const struct tree t = { .bells = 30 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);

	assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), OK);
	assert_int_equal(b->reply_len, 4 + 31 * 44);
	assert_int_equal(bench_reply_u32(b, 4 + 30 * 44 + 8), 29); /* the last label */
}

static void who_it_is(void **state)
{
	static const uint8_t want[] = { 2,   0,	  0,   0, 1, 0, 7, 0, 'a', 'c', 'm', 'e',
					'/', 'v', 'm', 0, 2, 0, 4, 0, 't', 'e', 's', 't' };
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);

	assert_int_equal(bench_rm_vm(b, GET_ID, vmid), OK);
	assert_int_equal(b->reply_len, sizeof(want));
	assert_memory_equal(b->reply, want, sizeof(want));
}

static void attributes(void **state)
{
	static const struct tree keep = { .attrs = "no-shutdown" }, last = { .attrs = "no-reset" };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	_cleanup_(bench_freep) struct bench *c = bench_new(NULL);
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &keep, &handle);

	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(tree_stop(b, vmid, 1), VM_STATE);
	vmid = tree_ready(c, &last, &handle);
	assert_int_equal(bench_rm_vm(c, RESET, vmid), DENIED);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_life),
		cmocka_unit_test(twice_in_a_row_leaks_nothing),
		cmocka_unit_test(ready_is_undone),
		cmocka_unit_test(trees_that_init_refuses),
		cmocka_unit_test(trees_that_are_fine),
		cmocka_unit_test(garbage_is_no_tree),
		cmocka_unit_test(resources),
		cmocka_unit_test(a_reply_of_many_packets),
		cmocka_unit_test(who_it_is),
		cmocka_unit_test(attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
