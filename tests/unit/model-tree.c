/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/model-tree.h"

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

void tree_make(void *f, const struct tree *t)
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
uint32_t tree_config_image(struct bench *b, uint16_t vmid, uint32_t handle, uint64_t dt_size)
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

const struct bench_range tree_ram = { RAM, RAM_SIZE };
const struct bench_range tree_window = { WINDOW, 2 * MIB };
const struct bench_range tree_pieces[2] = { { WINDOW, MIB }, { WINDOW + 4 * MIB, MIB } };

uint16_t tree_configure(struct bench *b, const struct tree *t, uint32_t *ret_handle)
{
	uint16_t vmid = bench_allocate(b);

	tree_make(bench_ram(b, RAM + DT_OFF, DT_SIZE), t);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &tree_ram, 1), OK);
	*ret_handle = bench_reply_u32(b, 0);
	assert_int_equal(tree_config_image(b, vmid, *ret_handle, DT_SIZE), OK);
	return vmid;
}

uint16_t tree_ready(struct bench *b, const struct tree *t, uint32_t *ret_handle)
{
	uint16_t vmid = tree_configure(b, t, ret_handle);

	assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
	assert_int_equal(bench_state(b, vmid), STATE_READY);
	return vmid;
}

uint32_t tree_share_window(struct bench *b, uint16_t vmid, const struct bench_range *v,
			   unsigned int n)
{
	return bench_create(b, BENCH_SHARE, vmid, 6, WINDOW_LABEL, 0, v, n);
}

uint32_t tree_stop(struct bench *b, uint16_t vmid, uint8_t flags)
{
	uint8_t p[8] = { vmid & 0xff, vmid >> 8, flags, 0, 3, 0, 0, 0 };

	return bench_rm(b, STOP, p, sizeof(p));
}

void tree_assert_nothing_left(const struct bench *b)
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

void tree_undo(struct bench *b, uint16_t vmid, uint32_t n_handles)
{
	assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
	assert_int_equal(bench_state(b, vmid), STATE_RESET);
	for (uint32_t i = 0; i < n_handles; i++)
		assert_int_equal(bench_reclaim(b, i, true), OK);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), OK);
	tree_assert_nothing_left(b);
}
