/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests of the model: trees that RM takes and refuses, windows, lives and ends. */
#include "libghvm/cleanup.h"
#include "tests/unit/model-bench.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

enum {
	OK = 0,
	NORESOURCE = 2,
	DENIED = 3,
	ARGUMENT_INVALID = 6,
	MEM_INVALID = 0xa,
	MEM_INUSE = 0xb,
	MEM_RELEASED = 0xc,
	VM_STATE = 0x14,
};

#define DEALLOCATE 0x56000002U
#define START 0x56000004U
#define STOP 0x56000005U
#define RESET 0x56000006U
#define CONFIG_IMAGE 0x56000009U
#define INIT 0x5600000bU
#define GET_ID 0x56000010U
#define GET_CRASH_MSG 0x56000019U
#define GET_RESOURCES 0x56000020U
#define NOTIFY 0x51000017U
#define NOTE_STATUS 0x56100008U
#define NOTE_EXITED 0x56100001U
#define NOTE_MEM_RELEASED 0x51100012U

#define STATE_INIT 1
#define STATE_READY 2
#define STATE_RUNNING 3
#define STATE_INIT_FAILED 8
#define STATE_EXITED 9
#define STATE_RESETTING 10
#define STATE_RESET 11

#define PAGE 4096ULL
#define MIB (1ULL << 20)
#define BASE 0x80000000ULL
#define RAM (BENCH_RAM + 16 * MIB)
#define RAM_SIZE (4 * MIB)
#define DT_OFF (2 * MIB)
#define DT_SIZE 0x40000ULL
#define WINDOW_IPA 0x40000000ULL
#define WINDOW_LABEL 0x20
#define WINDOW (BENCH_RAM + 32 * MIB)

/* What is different from the usual tree. */
struct tree {
	const char *without;	   /* node or property that is left out */
	const char *affinity;	   /* default proxy */
	const char *attrs;	   /* vm-attrs */
	const char *enable_method; /* of the second CPU; default psci */
	const char *interrupts;	   /* config path */
	const char *vdev;	   /* a further vdevice of this type */
	const char *extra;	   /* a further node of the root */
	unsigned int cpus;	   /* default 1 */
	unsigned int bells;	   /* default 1, labels 0.. */
	uint32_t bell_kind;
	uint32_t bell_spi; /* of the first */
	uint64_t base;
	uint64_t size_max;
	uint64_t gicr_size;
	bool rm_rpc;
	bool node;	  /* /reserved-memory window */
	bool vdevice;	  /* shm window */
	bool node_no_reg; /* with only a size */
	bool no_base;	  /* shm with allocate-base */
	bool source;	  /* doorbell-source */
	uint64_t window_size;
	uint64_t window_ipa;
	bool phandle;
};

static bool with(const struct tree *t, const char *what)
{
	return !t->without || strcmp(t->without, what) != 0;
}

static void str(void *f, const char *name, const char *v)
{
	assert_int_equal(fdt_property_string(f, name, v), 0);
}

static void cells(void *f, const char *name, const uint32_t *v, unsigned int n)
{
	fdt32_t be[8];

	for (unsigned int i = 0; i < n; i++)
		be[i] = cpu_to_fdt32(v[i]);
	assert_int_equal(fdt_property(f, name, be, (int)(4 * n)), 0);
}

static void cells64(void *f, const char *name, const uint64_t *v, unsigned int n)
{
	fdt64_t be[4];

	for (unsigned int i = 0; i < n; i++)
		be[i] = cpu_to_fdt64(v[i]);
	assert_int_equal(fdt_property(f, name, be, (int)(8 * n)), 0);
}

static void begin(void *f, const char *name)
{
	assert_int_equal(fdt_begin_node(f, name), 0);
}

static void end(void *f)
{
	assert_int_equal(fdt_end_node(f), 0);
}

static void flag(void *f, const char *name)
{
	assert_int_equal(fdt_property(f, name, NULL, 0), 0);
}

static void put_cpus(void *f, const struct tree *t)
{
	unsigned int n = t->cpus ? t->cpus : 1;
	char name[16];

	begin(f, "cpus");
	cells(f, "#address-cells", (uint32_t[]){ 1 }, 1);
	cells(f, "#size-cells", (uint32_t[]){ 0 }, 1);
	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "cpu@%u", i);
		begin(f, name);
		str(f, "device_type", "cpu");
		cells(f, "reg", (uint32_t[]){ i }, 1);
		str(f, "enable-method", t->enable_method ? t->enable_method : "psci");
		end(f);
	}
	end(f);
}

static void put_gic(void *f, const struct tree *t)
{
	uint64_t size = t->gicr_size ? t->gicr_size : 0x40000;

	begin(f, "intc@3fff0000");
	str(f, "compatible", with(t, "gic") ? "arm,gic-v3" : "arm,gic-v2");
	flag(f, "interrupt-controller");
	cells(f, "#interrupt-cells", (uint32_t[]){ 3 }, 1);
	cells(f, "phandle", (uint32_t[]){ 1 }, 1);
	if (with(t, "gic-reg"))
		cells64(f, "reg", (uint64_t[]){ 0x3fff0000, 0x10000, 0x3ffb0000, size }, 4);
	end(f);
}

static void put_bell(void *f, const struct tree *t, unsigned int i)
{
	char name[64];

	snprintf(name, sizeof(name), "bell-%u", i);
	begin(f, name);
	str(f, "vdevice-type", i == 0 && t->source ? "doorbell-source" : "doorbell");
	snprintf(name, sizeof(name), "/hypervisor/bell-%u", i);
	if (with(t, "bell-generate"))
		str(f, "generate", name);
	cells(f, "label", (uint32_t[]){ i }, 1);
	if (with(t, "peer-default"))
		flag(f, "peer-default");
	if (with(t, "bell-interrupts"))
		cells(f, "interrupts", (uint32_t[]){ t->bell_kind, i ? i : t->bell_spi, 1 }, 3);
	end(f);
}

static void put_shm(void *f, const struct tree *t)
{
	begin(f, "shm-1");
	str(f, "vdevice-type", "shm");
	str(f, "generate", "/hypervisor/shm-1");
	str(f, "push-compatible", "acme,window");
	flag(f, "peer-default");
	begin(f, "memory");
	cells(f, "label", (uint32_t[]){ WINDOW_LABEL }, 1);
	if (t->no_base)
		flag(f, "allocate-base");
	else
		cells64(f, "base", (uint64_t[]){ WINDOW_IPA }, 1);
	end(f);
	end(f);
}

static void put_vdevs(void *f, const struct tree *t)
{
	begin(f, "vdevices");
	for (unsigned int i = 0; i < (t->bells ? t->bells : 1); i++)
		put_bell(f, t, i);
	if (t->vdevice)
		put_shm(f, t);
	if (t->rm_rpc) {
		begin(f, "rm-rpc");
		str(f, "vdevice-type", "rm-rpc");
		if (with(t, "rm-generate"))
			str(f, "generate", "/hypervisor/rm");
		end(f);
	}
	if (t->vdev) {
		begin(f, "other");
		str(f, "vdevice-type", t->vdev);
		end(f);
	}
	end(f);
}

static void put_config(void *f, const struct tree *t)
{
	begin(f, "gunyah-vm-config");
	if (with(t, "image-name"))
		str(f, "image-name", "test");
	str(f, "vm-uri", "acme/vm");
	if (t->attrs)
		str(f, "vm-attrs", t->attrs);
	begin(f, "memory");
	cells64(f, "base-address", (uint64_t[]){ t->base ? t->base : BASE }, 1);
	if (t->size_max)
		cells64(f, "size-max", (uint64_t[]){ t->size_max }, 1);
	end(f);
	if (with(t, "interrupts")) {
		begin(f, "interrupts");
		if (t->phandle)
			cells(f, "config", (uint32_t[]){ 1 }, 1);
		else
			str(f, "config", t->interrupts ? t->interrupts : "/intc@3fff0000");
		end(f);
	}
	if (with(t, "vcpus")) {
		begin(f, "vcpus");
		str(f, "affinity", t->affinity ? t->affinity : "proxy");
		end(f);
	}
	put_vdevs(f, t);
	end(f);
}

static void put_window_node(void *f, const struct tree *t)
{
	uint64_t ipa = t->window_ipa ? t->window_ipa : WINDOW_IPA;
	uint64_t size = t->window_size ? t->window_size : 2 * MIB;

	begin(f, "reserved-memory");
	cells(f, "#address-cells", (uint32_t[]){ 2 }, 1);
	cells(f, "#size-cells", (uint32_t[]){ 2 }, 1);
	flag(f, "ranges");
	begin(f, "window");
	str(f, "compatible", "restricted-dma-pool");
	if (t->node_no_reg)
		cells64(f, "size", (uint64_t[]){ size }, 1);
	else
		cells64(f, "reg", (uint64_t[]){ ipa, size }, 2);
	cells(f, "qcom,label", (uint32_t[]){ WINDOW_LABEL }, 1);
	end(f);
	end(f);
}

/* A tree in @buf, DT_SIZE big. */
static void make_tree(void *f, const struct tree *t)
{
	assert_int_equal(fdt_create(f, (int)DT_SIZE), 0);
	assert_int_equal(fdt_finish_reservemap(f), 0);
	begin(f, "");
	cells(f, "#address-cells", (uint32_t[]){ 2 }, 1);
	cells(f, "#size-cells", (uint32_t[]){ 2 }, 1);
	if (with(t, "chosen")) {
		begin(f, "chosen");
		str(f, "bootargs", "quiet");
		end(f);
	}
	put_cpus(f, t);
	put_gic(f, t);
	if (t->node)
		put_window_node(f, t);
	if (with(t, "config"))
		put_config(f, t);
	if (t->extra) {
		begin(f, t->extra);
		str(f, "device_type", "memory");
		end(f);
	}
	end(f);
	assert_int_equal(fdt_finish(f), 0);
}

static uint32_t config_image(struct bench *b, uint16_t vmid, uint32_t handle, uint64_t dt_size)
{
	uint8_t buf[40];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid);
	ghvm_put_u16(&w, 0);
	ghvm_put_u32(&w, handle);
	ghvm_put_u64(&w, 0);
	ghvm_put_u64(&w, 0);
	ghvm_put_u64(&w, DT_OFF);
	ghvm_put_u64(&w, dt_size);
	return bench_rm_put(b, CONFIG_IMAGE, &w);
}

static const struct bench_range ram_range = { RAM, RAM_SIZE };
static const struct bench_range window_range = { WINDOW, 2 * MIB };
static const struct bench_range window_pieces[2] = { { WINDOW, MIB }, { WINDOW + 4 * MIB, MIB } };

/* A VM with a tree, in state INIT; the image's handle is that of the last parcel. */
static uint16_t configure(struct bench *b, const struct tree *t, uint32_t *ret_handle)
{
	uint16_t vmid = bench_allocate(b);

	make_tree(bench_ram(b, RAM + DT_OFF, DT_SIZE), t);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &ram_range, 1), OK);
	*ret_handle = bench_reply_u32(b, 0);
	assert_int_equal(config_image(b, vmid, *ret_handle, DT_SIZE), OK);
	return vmid;
}

static uint16_t make_ready(struct bench *b, const struct tree *t, uint32_t *ret_handle)
{
	uint16_t vmid = configure(b, t, ret_handle);

	assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
	assert_int_equal(bench_state(b, vmid), STATE_READY);
	return vmid;
}

static uint32_t share_window(struct bench *b, uint16_t vmid, const struct bench_range *v,
			     unsigned int n)
{
	return bench_create(b, BENCH_SHARE, vmid, 6, WINDOW_LABEL, 0, v, n);
}

static uint32_t stop(struct bench *b, uint16_t vmid, uint8_t flags)
{
	uint8_t p[8] = { vmid & 0xff, vmid >> 8, flags, 0, 3, 0, 0, 0 };

	return bench_rm(b, STOP, p, sizeof(p));
}

static void assert_nothing_left(const struct bench *b)
{
	struct model_counts n;

	model_counts(b->m, &n);
	assert_int_equal(n.vms, 0);
	assert_int_equal(n.slots, 0);
	assert_int_equal(n.parcels, 0);
	assert_int_equal(n.entries, 0);
	assert_int_equal(n.virqs, 0);
	assert_int_equal(n.caps, 2);
	assert_int_equal(n.lent_pages + n.shared_pages, 0);
	assert_false(b->guests[0].exists);
	for (size_t i = 0; i < BENCH_PAGES; i++)
		assert_int_equal(b->rights[i], 7);
}

static void undo(struct bench *b, uint16_t vmid, uint32_t n_handles)
{
	assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
	assert_int_equal(bench_state(b, vmid), STATE_RESET);
	for (uint32_t i = 0; i < n_handles; i++)
		assert_int_equal(bench_reclaim(b, i, true), OK);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), OK);
	assert_nothing_left(b);
}

/* From LEND to DEALLOCATE, as a well-behaved host does it. */
static void a_whole_life(void **state)
{
	static const struct tree t = { .cpus = 2 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const struct bench_guest *g = &b->guests[0];
	struct model_counts n;
	uint32_t handle;
	uint16_t vmid = make_ready(b, &t, &handle);

	assert_int_equal(model_slot(b->m, vmid), 0);
	assert_true(g->exists);
	assert_int_equal(g->n_vcpus, 2);
	assert_int_equal(g->gicd, 0x3fff0000);
	assert_int_equal(g->n_maps, 0); /* not before START */
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(bench_state(b, vmid), STATE_RUNNING);
	assert_true(g->started);
	assert_int_equal(g->pc, BASE);
	assert_int_equal(g->x0, BASE + DT_OFF);
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

	assert_int_equal(stop(b, vmid, 1), OK);
	assert_true(g->killed);
	assert_int_equal(bench_state(b, vmid), STATE_EXITED);
	assert_int_equal(bench_note(b, NOTE_EXITED, 0)->payload[2], 7);

	/* row EXITED */
	assert_int_equal(bench_reclaim(b, handle, false), MEM_INUSE);
	assert_int_equal(stop(b, vmid, 1), VM_STATE);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), VM_STATE);

	bench_forget_notes(b);
	undo(b, vmid, 1);
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
		uint16_t vmid = make_ready(b, &t, &handle);

		assert_int_equal(vmid, 0x80);
		assert_int_equal(handle, i);
		assert_int_equal(bench_rm_vm(b, START, vmid), OK);
		assert_int_equal(stop(b, vmid, 1), OK);
		assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
		assert_int_equal(bench_reclaim(b, handle, false), OK);
		assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), OK);
		assert_nothing_left(b);
		bench_forget_notes(b);
	}
}

/* abi K.6: in READY everything can be taken back at once. */
static void ready_is_undone(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;
	uint16_t vmid = make_ready(b, &t, &handle);

	assert_int_equal(stop(b, vmid, 1), VM_STATE);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), VM_STATE);
	assert_int_equal(bench_reclaim(b, handle, false), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), NORESOURCE); /* no image */
	assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
	undo(b, vmid, 0);
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
		uint16_t vmid = configure(b, &bad[i].t, &handle);

		if (bench_rm_vm(b, INIT, vmid) != bad[i].status)
			fail_msg("%s", bad[i].what);
		assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
		assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), OK);
		assert_int_equal(bench_reply_u32(b, 0), 0);
		assert_int_equal(bench_reclaim(b, handle, false), OK);
		undo(b, vmid, 0);
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
		uint16_t vmid = make_ready(b, &fine[i], &handle);

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

	make_tree(dt, &t);
	size = fdt_totalsize((const void *)dt);
	for (uint32_t i = 0; i < size + 1; i += i < 64 ? 4 : 61) {
		uint32_t handle;

		make_tree(dt, &t);
		if (i < size)
			dt[i] ^= 0x80;
		assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &ram_range, 1), OK);
		handle = bench_reply_u32(b, 0);
		assert_int_equal(config_image(b, vmid, handle, i < size ? DT_SIZE : size - 1), OK);
		bench_rm_vm(b, INIT, vmid); /* says what it likes, and survives */
		if (bench_state(b, vmid) == STATE_READY)
			bench_rm_vm(b, START, vmid);
		(void)stop(b, vmid, 1);
		assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
		assert_int_equal(bench_reclaim(b, handle, false), OK);
		bench_forget_notes(b);
	}
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &ram_range, 1), OK);
	assert_int_equal(config_image(b, vmid, bench_reply_u32(b, 0), 0), OK);
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
	uint16_t vmid = make_ready(b, &t, &handle);
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
	uint16_t vmid = make_ready(b, &t, &handle);

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
	uint16_t vmid = make_ready(b, &t, &handle);

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
	uint16_t vmid = make_ready(b, &keep, &handle);

	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(stop(b, vmid, 1), VM_STATE);
	vmid = make_ready(c, &last, &handle);
	assert_int_equal(bench_rm_vm(c, RESET, vmid), DENIED);
}

static uint32_t prop32(const void *dt, const char *path, const char *name)
{
	const fdt32_t *p = fdt_getprop(dt, fdt_path_offset(dt, path), name, NULL);

	assert_non_null(p);
	return fdt32_ld(p);
}

static uint64_t prop64(const void *dt, const char *path, const char *name, unsigned int i)
{
	int len;
	const fdt64_t *p = fdt_getprop(dt, fdt_path_offset(dt, path), name, &len);

	assert_true(p && len >= (int)(8 * i + 8));
	return fdt64_ld(p + i);
}

static void the_patched_tree(void **state)
{
	static const struct tree t = { .bells = 2, .rm_rpc = true, .vdevice = true, .node = true };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const void *dt = bench_ram(b, RAM + DT_OFF, DT_SIZE);
	uint32_t handle;
	uint16_t vmid = make_ready(b, &t, &handle);
	int node, len;

	assert_int_equal(share_window(b, vmid, window_pieces, 2), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(fdt_check_full(dt, DT_SIZE), 0);

	(void)prop64(dt, "/chosen", "kaslr-seed", 0);
	assert_string_equal(fdt_getprop(dt, fdt_path_offset(dt, "/chosen"), "bootargs", NULL),
			    "quiet");
	/* both parcels, sorted */
	assert_int_equal(prop64(dt, "/memory", "reg", 0), WINDOW_IPA);
	assert_int_equal(prop64(dt, "/memory", "reg", 1), 2 * MIB);
	assert_int_equal(prop64(dt, "/memory", "reg", 2), BASE);
	assert_int_equal(prop64(dt, "/memory", "reg", 3), RAM_SIZE);
	/* the window is the tree's own; no node is added */
	node = fdt_path_offset(dt, "/reserved-memory/window");
	assert_int_equal(fdt_node_check_compatible(dt, node, "restricted-dma-pool"), 0);
	assert_int_equal(fdt_next_subnode(dt, node), -FDT_ERR_NOTFOUND);
	assert_true(fdt_path_offset(dt, "/vsoc") > 0);

	node = fdt_path_offset(dt, "/hypervisor");
	assert_int_equal(fdt_node_check_compatible(dt, node, "gunyah-hypervisor"), 0);
	assert_int_equal(prop32(dt, "/hypervisor/qcom,gunyah-vm", "qcom,vmid"), vmid);
	assert_int_equal(prop32(dt, "/hypervisor/qcom,gunyah-vm", "qcom,owner-vmid"), 3);

	node = fdt_path_offset(dt, "/hypervisor/bell-0"); /* whatever its unit address */
	assert_int_equal(fdt_node_check_compatible(dt, node, "qcom,gunyah-doorbell"), 0);
	assert_non_null(fdt_getprop(dt, node, "interrupts", &len));
	assert_int_equal(len, 12);
	node = fdt_node_offset_by_compatible(dt, -1, "gunyah-resource-manager");
	assert_non_null(fdt_getprop(dt, node, "reg", &len));
	assert_int_equal(len, 16);
	assert_non_null(fdt_getprop(dt, node, "interrupts", &len));
	assert_int_equal(len, 24);
	node = fdt_node_offset_by_compatible(dt, -1, "acme,window");
	assert_int_equal(fdt32_ld(fdt_getprop(dt, node, "qcom,label", NULL)), WINDOW_LABEL);
}

static void a_tree_needs_room(void **state)
{
	static const struct tree t = { .bells = 30 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint8_t *dt = bench_ram(b, RAM + DT_OFF, DT_SIZE);
	uint32_t size;

	make_tree(dt, &t);
	size = fdt_totalsize((const void *)dt);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &ram_range, 1), OK);
	assert_int_equal(config_image(b, vmid, 0, size), OK);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), NORESOURCE);
	assert_int_equal(b->guests[0].n_maps, 0); /* nothing stays accepted */
	undo(b, vmid, 1);
}

static void a_base_is_rounded_up(void **state)
{
	static const struct tree t = { .base = BASE + PAGE };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;

	assert_int_equal(bench_rm_vm(b, START, make_ready(b, &t, &handle)), OK);
	assert_int_equal(b->guests[0].maps[0].ipa, BASE + 2 * MIB);
}

/* abi K.7, and D.5 for what an image may be */
static void starts_that_fail(void **state)
{
	static const struct {
		const char *what;
		uint32_t status;
		struct tree t;
		bool share;	   /* the window, in one piece */
		bool pieces;	   /* or in two */
		uint32_t more_ram; /* label + 1 of a further LEND */
		bool out_of_tables;
	} cases[] = {
		{ "nothing special", OK, {}, .share = false },
		{ "vdevice and node", OK, { .vdevice = true, .node = true }, .pieces = true },
		{ "node alone, one piece", OK, { .node = true }, .share = true },
		{ "node alone, pieces", NORESOURCE, { .node = true }, .pieces = true },
		{ "vdevice alone", OK, { .vdevice = true }, .pieces = true },
		{ "neither", OK, {}, .share = true },
		{ "no base", OK, { .vdevice = true, .no_base = true }, .pieces = true },
		{ "a size only",
		  OK,
		  { .node = true, .vdevice = true, .node_no_reg = true, .no_base = true },
		  .pieces = true },
		{ "node without parcel", NORESOURCE, .t = { .node = true } },
		{ "vdevice without parcel", NORESOURCE, .t = { .vdevice = true } },
		{ "another size", NORESOURCE, { .node = true, .window_size = MIB }, .share = true },
		{ "another place",
		  NORESOURCE,
		  { .node = true, .vdevice = true, .window_ipa = 0x50000000 },
		  .share = true },
		{ "window over RAM",
		  NORESOURCE,
		  { .node = true, .window_ipa = BASE },
		  .share = true },
		{ "more RAM", DENIED, {}, .more_ram = 1 },
		{ "another lend", OK, {}, .more_ram = 9 },
		{ "size-max", NORESOURCE, .t = { .size_max = RAM_SIZE - PAGE } },
		{ "tables", NORESOURCE, {}, .out_of_tables = true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
		uint32_t handle, n = 1;
		uint16_t vmid = make_ready(b, &cases[i].t, &handle);

		if (cases[i].share || cases[i].pieces) {
			const struct bench_range *v =
				cases[i].share ? &window_range : window_pieces;

			assert_int_equal(share_window(b, vmid, v, cases[i].share ? 1 : 2), OK);
			n++;
		}
		if (cases[i].more_ram) {
			assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, cases[i].more_ram - 1,
						      0, &window_range, 1),
					 OK);
			n++;
		}
		b->no_tables = cases[i].out_of_tables;
		if (bench_rm_vm(b, START, vmid) != cases[i].status)
			fail_msg("%s", cases[i].what);
		if (cases[i].status == OK)
			assert_int_equal(stop(b, vmid, 1), OK);
		else
			assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
		undo(b, vmid, n);
	}
}

static void where_windows_land(void **state)
{
	static const struct tree both = { .vdevice = true, .node = true }, none = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	_cleanup_(bench_freep) struct bench *c = bench_new(NULL);
	const struct bench_map *maps = b->guests[0].maps;
	const void *dt = bench_ram(c, RAM + DT_OFF, DT_SIZE);
	uint32_t handle;
	uint16_t vmid = make_ready(b, &both, &handle);
	int node;

	assert_int_equal(share_window(b, vmid, window_pieces, 2), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(b->guests[0].n_maps, 3);
	assert_int_equal(maps[1].ipa, WINDOW_IPA);
	assert_int_equal(maps[1].pa, WINDOW);
	assert_int_equal(maps[1].rights, 6);
	assert_int_equal(maps[2].ipa, WINDOW_IPA + MIB);
	assert_int_equal(maps[2].pa, WINDOW + 4 * MIB);

	vmid = make_ready(c, &none, &handle);
	assert_int_equal(share_window(c, vmid, &window_range, 1), OK);
	handle = bench_reply_u32(c, 0);
	assert_int_equal(bench_rm_vm(c, START, vmid), OK);
	assert_int_equal(c->guests[0].maps[1].ipa, 1ULL << 34);
	node = fdt_path_offset(dt, "/reserved-memory/buffer@400000000");
	assert_true(node > 0);
	assert_non_null(fdt_getprop(dt, node, "no-map", NULL));
	assert_int_equal(prop32(dt, "/reserved-memory/buffer", "qcom,label"), WINDOW_LABEL);
	assert_int_equal(prop32(dt, "/reserved-memory/buffer", "qcom,rm-mem-handle"), handle);
}

static void a_production_image_takes_no_shared_ram(void **state)
{
	for (int production = 0; production < 2; production++) {
		static const struct tree t = {};
		struct model_config config = bench_config();
		_cleanup_(bench_freep) struct bench *b = NULL;
		uint16_t vmid;

		config.production = production;
		config.random = 1;
		b = bench_new(&config);
		vmid = bench_allocate(b);
		make_tree(bench_ram(b, RAM + DT_OFF, DT_SIZE), &t);
		assert_int_equal(bench_create(b, BENCH_SHARE, vmid, 7, 0, 0, &ram_range, 1), OK);
		assert_int_equal(config_image(b, vmid, 0, DT_SIZE), OK);
		assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
		assert_int_equal(bench_rm_vm(b, START, vmid), production ? NORESOURCE : OK);
	}
}

static uint32_t notify(struct bench *b, uint16_t vmid, uint32_t handle, uint8_t flags)
{
	uint8_t p[20] = { handle & 0xff, 0, 0, 0, flags, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0 };

	p[16] = vmid & 0xff;
	return bench_rm(b, NOTIFY, p, sizeof(p));
}

/* abi K.9 */
static void notify_in_ready(void **state)
{
	static const struct tree t = { .vdevice = true };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct bench_range other = { WINDOW + 8 * MIB, PAGE };
	uint32_t handle;
	uint16_t vmid = make_ready(b, &t, &handle);

	assert_int_equal(bench_create(b, BENCH_SHARE, vmid, 6, 99, 0, &other, 1), OK);
	assert_int_equal(notify(b, vmid, bench_reply_u32(b, 0), 1), MEM_RELEASED);
	assert_int_equal(b->guests[0].n_maps, 0);
	assert_int_equal(share_window(b, vmid, &window_range, 1), OK);
	handle = bench_reply_u32(b, 0);
	assert_int_equal(notify(b, vmid, handle, 1), OK);
	assert_int_equal(b->guests[0].n_maps, 1);
	assert_int_equal(b->guests[0].maps[0].ipa, WINDOW_IPA);
	assert_int_equal(bench_reclaim(b, handle, false), MEM_INUSE);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(b->guests[0].n_maps, 3);
}

/* The capabilities are the guest's first two, after ours and its vCPU's and bells'. */
static uint64_t cap_of(struct bench *b, const char *compatible, unsigned int i)
{
	const void *dt = bench_ram(b, RAM + DT_OFF, DT_SIZE);
	int node = fdt_node_offset_by_compatible(dt, -1, compatible);

	return fdt64_ld((const fdt64_t *)fdt_getprop(dt, node, "reg", NULL) + i);
}

static void guest_sends(struct bench *b, uint32_t id, const void *payload, size_t len)
{
	uint8_t buf[240];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	uint64_t x[8] = { 0, cap_of(b, "gunyah-resource-manager", 0) };

	ghvm_put_u8(&w, 0x21);
	ghvm_put_u8(&w, 1);
	ghvm_put_u16(&w, 7);
	ghvm_put_u32(&w, id);
	ghvm_put_bytes(&w, payload, len);
	x[2] = w.len;
	x[3] = (uint64_t)(uintptr_t)buf;
	model_guest_hypercall(b->m, 0, 0x1b, x);
	assert_int_equal(x[0], 0);
}

/* Payload of the message that waits for the guest: its length, or -1. */
static int guest_receives(struct bench *b, uint32_t *ret_id, uint8_t buf[240])
{
	uint64_t x[8] = { 0, cap_of(b, "gunyah-resource-manager", 1), (uint64_t)(uintptr_t)buf,
			  240 };

	model_guest_hypercall(b->m, 0, 0x1c, x);
	if (x[0] == 60)
		return -1;
	assert_true(x[1] >= 8);
	memcpy(ret_id, buf + 4, 4);
	memmove(buf, buf + 8, x[1] - 8);
	return (int)x[1] - 8;
}

static uint16_t start_with_link(struct bench *b)
{
	static const struct tree t = { .rm_rpc = true };
	uint32_t handle;
	uint16_t vmid = make_ready(b, &t, &handle);

	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	return vmid;
}

static void a_guest_accepts_and_releases(void **state)
{
	static const uint8_t accept[] = { 1, 0, 0, 0, 0, 2, 0, 0, WINDOW_LABEL, 0, 0, 0, 0, 0, 0, 0,
					  0, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t release[] = { 1, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t accepted[] = { 1, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const struct bench_guest *g = &b->guests[0];
	uint8_t buf[240];
	uint32_t id;
	uint16_t vmid = start_with_link(b);

	assert_int_equal(share_window(b, vmid, window_pieces, 2), OK);
	assert_int_equal(notify(b, vmid, 1, 1), OK);
	/* handle, normal, share, 0, 0, owner, 0, label, tag, 2 ACL, 2 sizes, no attributes */
	assert_int_equal(guest_receives(b, &id, buf), 24 + 8 + 4 + 16 + 4);
	assert_int_equal(id, 0x51100011);
	assert_int_equal(buf[5], 2);
	assert_int_equal(buf[8], 3);
	assert_int_equal(buf[12], WINDOW_LABEL);
	assert_int_equal(buf[16], 5);

	guest_sends(b, 0x51000011, accept, sizeof(accept));
	assert_int_equal(guest_receives(b, &id, buf), 4 + 4 + 16);
	assert_int_equal(buf[0], OK);
	assert_int_equal(g->n_maps, 3);
	guest_sends(b, NOTIFY, accepted, sizeof(accepted));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	bench_drain(b);
	assert_int_equal(bench_note(b, 0x51100013, 0)->payload[4], vmid);

	assert_int_equal(bench_reclaim(b, 1, false), MEM_INUSE);
	guest_sends(b, 0x51000014, release, sizeof(release));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], OK);
	guest_sends(b, 0x51000014, release, sizeof(release));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], MEM_RELEASED);
	assert_int_equal(bench_reclaim(b, 1, false), OK);
	assert_int_equal(g->n_maps, 1);
}

static void a_guest_speaks_of_itself(void **state)
{
	static const uint8_t crash[] = { 5, 0, 0, 0, 'h', 'e', 'l', 'p', '!', 0, 0, 0 };
	static const uint8_t exit[] = { 1, 0, 4, 0 }, bad_exit[] = { 0, 0, 2, 0 };
	static const uint8_t want[] = { 0x80, 0, 0, 0, 4, 0, 0, 0, 1, 0, 4, 0 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const struct bench_note *n;
	uint8_t buf[240];
	uint32_t id;
	uint16_t vmid = start_with_link(b);

	guest_sends(b, 0x56000086, crash, sizeof(crash));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(bench_rm_vm(b, GET_CRASH_MSG, vmid), OK);
	assert_memory_equal(b->reply, crash, sizeof(crash));

	guest_sends(b, 0x56000080, exit, sizeof(exit)); /* SET_STATUS: not for dynamic ids */
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], DENIED);
	guest_sends(b, 0x56000001, exit, 4); /* ALLOCATE */
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], DENIED);
	guest_sends(b, 0x56000085, bad_exit, sizeof(bad_exit));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], 4);

	/* asked, not forced */
	assert_int_equal(stop(b, vmid, 0), OK);
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(id, 0x56100002);
	assert_int_equal(buf[0], 3);

	guest_sends(b, 0x56000085, exit, sizeof(exit));
	assert_int_equal(guest_receives(b, &id, buf), -1);
	bench_drain(b);
	n = bench_note(b, NOTE_EXITED, 0);
	assert_int_equal(n->len, sizeof(want));
	assert_memory_equal(n->payload, want, sizeof(want));
}

static void stop_without_force_kills_rm(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct model_counts n;
	uint32_t handle;
	uint16_t vmid = make_ready(b, &t, &handle);

	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(stop(b, vmid, 0), BENCH_SILENCE);
	model_counts(b->m, &n);
	assert_true(n.rm_dead);
	/* the guest goes on */
	assert_false(b->guests[0].killed);
	model_guest_ended(b->m, 0, 1, NULL, 0);
	bench_drain(b);
	assert_null(bench_note(b, NOTE_EXITED, 0));
}

static void an_rm_link_without_a_name_kills_rm(void **state)
{
	static const struct tree t = { .rm_rpc = true, .without = "rm-generate" };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;

	assert_int_equal(bench_rm_vm(b, INIT, configure(b, &t, &handle)), BENCH_SILENCE);
}

/* u16 vmid, u16 type, u32 size, reason */
static void ends_of_the_guest_itself(void **state)
{
	static const struct tree t = {};
	static const uint32_t reason[5] = { 0x8001, 2, 3, 4, 5 };
	static const uint8_t want[] = { 0x80, 0, 3, 0, 16, 0, 0, 0, 1, 0x80, 0, 0,
					2,    0, 0, 0, 3,  0, 0, 0, 4, 0,    0, 0 };
	struct model_config config = bench_config();
	_cleanup_(bench_freep) struct bench *b = NULL;
	const struct bench_note *n;
	uint32_t handle;
	uint16_t vmid;

	config.delay_ns = 1000;
	b = bench_new(&config);
	vmid = make_ready(b, &t, &handle);
	model_guest_ended(b->m, 0, 1, NULL, 0); /* does not run yet */
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	model_guest_ended(b->m, 0, 3, reason, 5);
	model_guest_ended(b->m, 0, 1, NULL, 0); /* the first counts */
	assert_int_equal(stop(b, vmid, 1), OK);
	assert_int_equal(bench_state(b, vmid), STATE_RUNNING);
	assert_int_equal(b->later, 1001);
	b->now = 1001;
	model_work(b->m);
	bench_drain(b);
	n = bench_note(b, NOTE_EXITED, 0);
	assert_int_equal(n->len, sizeof(want));
	assert_memory_equal(n->payload, want, sizeof(want));
	assert_null(bench_note(b, NOTE_EXITED, 1));
	assert_int_equal(bench_state(b, vmid), STATE_EXITED);
}

static void vcpu_run_after_the_end(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	unsigned int slot = 9, vcpu = 9;
	struct ghvm_get g;
	uint64_t x[8], cap;
	uint32_t handle;
	uint16_t vmid = make_ready(b, &t, &handle);

	assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), OK);
	g = (struct ghvm_get){ .buf = b->reply + 4 + 12, .len = 8 };
	cap = ghvm_get_u64(&g);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	x[1] = cap;
	assert_int_equal(model_hypercall(b->m, 0x65, x, &slot, &vcpu), MODEL_RUN_VCPU);
	assert_int_equal(slot, 0);
	assert_int_equal(vcpu, 0);
	assert_true(model_vcpu_virq(b->m, 0, 0) >= BENCH_VIRQ_FIRST + 2);
	assert_int_equal(stop(b, vmid, 1), OK);
	x[1] = cap;
	assert_int_equal(bench_call(b, 0x65, x), 0);
	assert_int_equal(x[1], 2);
	assert_int_equal(x[2], 1);
}

static void guests_have_limits(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;

	b->no_create = true;
	assert_int_equal(bench_rm_vm(b, INIT, configure(b, &t, &handle)), NORESOURCE);
	b->no_create = false;
	assert_int_equal(bench_reclaim(b, handle, false), OK);
	for (unsigned int i = 0; i < MODEL_VMS_MAX + 1; i++) {
		struct bench_range r = { RAM + i * 8 * MIB, RAM_SIZE };
		uint16_t vmid = bench_allocate(b);

		make_tree(bench_ram(b, r.ipa + DT_OFF, DT_SIZE), &t);
		assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &r, 1), OK);
		assert_int_equal(config_image(b, vmid, bench_reply_u32(b, 0), DT_SIZE), OK);
		assert_int_equal(bench_rm_vm(b, INIT, vmid), i < MODEL_VMS_MAX ? OK : NORESOURCE);
	}
}

/* abi K.6: an orphan meets the next VM of its VMID. */
static void an_orphan_is_glued_into_the_next_vm(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint32_t handle;

	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &window_range, 1), OK);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), OK);
	assert_int_equal(make_ready(b, &t, &handle), vmid);
	assert_int_equal(bench_rm_vm(b, START, vmid), DENIED);
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
		cmocka_unit_test(the_patched_tree),
		cmocka_unit_test(a_tree_needs_room),
		cmocka_unit_test(a_base_is_rounded_up),
		cmocka_unit_test(starts_that_fail),
		cmocka_unit_test(where_windows_land),
		cmocka_unit_test(a_production_image_takes_no_shared_ram),
		cmocka_unit_test(notify_in_ready),
		cmocka_unit_test(a_guest_accepts_and_releases),
		cmocka_unit_test(a_guest_speaks_of_itself),
		cmocka_unit_test(stop_without_force_kills_rm),
		cmocka_unit_test(an_rm_link_without_a_name_kills_rm),
		cmocka_unit_test(ends_of_the_guest_itself),
		cmocka_unit_test(vcpu_run_after_the_end),
		cmocka_unit_test(guests_have_limits),
		cmocka_unit_test(an_orphan_is_glued_into_the_next_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
