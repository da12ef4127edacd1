/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small machine, laid out by hand.
 */
#include "tests/unit/demo-plan.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "tests/unit/unit.h"

#include <libfdt.h>
#include <string.h>
#include <sys/mman.h>

#define KERNEL_BYTE 0xa5
#define DTB_OFFSET 0x10000ULL
#define DTB_ROOM 0x10000ULL
#define WINDOW_SIZE 0x4000ULL

static void add_cells(void *fdt, const char *name, const uint32_t *v, size_t n)
{
	uint32_t be[8];

	assert_true(n <= ARRAY_SIZE(be));
	for (size_t i = 0; i < n; i++)
		be[i] = cpu_to_fdt32(v[i]);
	assert_int_equal(fdt_property(fdt, name, be, (int)(n * sizeof(*be))), 0);
}

static void begin(void *fdt, const char *name)
{
	assert_int_equal(fdt_begin_node(fdt, name), 0);
}

static void end(void *fdt)
{
	assert_int_equal(fdt_end_node(fdt), 0);
}

static void string(void *fdt, const char *name, const char *value)
{
	assert_int_equal(fdt_property_string(fdt, name, value), 0);
}

static void add_cpus(void *fdt, unsigned int n)
{
	begin(fdt, "cpus");
	add_cells(fdt, "#address-cells", (uint32_t[]){ 1 }, 1);
	add_cells(fdt, "#size-cells", (uint32_t[]){ 0 }, 1);
	for (uint32_t i = 0; i < n; i++) {
		const char name[] = { 'c', 'p', 'u', '@', (char)('0' + i), 0 };

		begin(fdt, name);
		string(fdt, "device_type", "cpu");
		string(fdt, "enable-method", "psci");
		add_cells(fdt, "reg", &i, 1);
		end(fdt);
	}
	end(fdt);
}

static void add_doorbell(void *fdt, const char *name, uint32_t label)
{
	begin(fdt, name);
	string(fdt, "vdevice-type", "doorbell");
	assert_int_equal(fdt_property(fdt, "peer-default", NULL, 0), 0);
	add_cells(fdt, "label", &label, 1);
	add_cells(fdt, "interrupts", (uint32_t[]){ 0, label, 1 }, 3);
	end(fdt);
}

static void add_link(void *fdt)
{
	begin(fdt, "rm-rpc");
	string(fdt, "vdevice-type", "rm-rpc");
	string(fdt, "generate", "/hypervisor/rm-rpc");
	end(fdt);
}

static void add_window(void *fdt)
{
	begin(fdt, "shm");
	string(fdt, "vdevice-type", "shm");
	assert_int_equal(fdt_property(fdt, "peer-default", NULL, 0), 0);
	begin(fdt, "memory");
	add_cells(fdt, "label", (uint32_t[]){ DEMO_WINDOW_LABEL }, 1);
	add_cells(fdt, "base", (uint32_t[]){ 0, GHVM_IPA_WINDOWS }, 2);
	end(fdt);
	end(fdt);
}

static void add_config(void *fdt, const struct demo *d)
{
	begin(fdt, "gunyah-vm-config");
	string(fdt, "image-name", "demo");
	begin(fdt, "memory");
	add_cells(fdt, "base-address", (uint32_t[]){ 0, GHVM_IPA_RAM }, 2);
	add_cells(fdt, "size-max", (uint32_t[]){ 0, (uint32_t)d->spec.memory }, 2);
	end(fdt);
	begin(fdt, "interrupts");
	string(fdt, "config", "/gic");
	end(fdt);
	begin(fdt, "vcpus");
	string(fdt, "affinity", "proxy");
	string(fdt, "config", "/cpus");
	end(fdt);
	begin(fdt, "vdevices");
	add_doorbell(fdt, "uart", GHVM_DOORBELL_UART);
	add_doorbell(fdt, "pl061", GHVM_DOORBELL_PL061);
	if (d->plan.n_parcels > 1)
		add_window(fdt);
	if (d->spec.rm_rpc)
		add_link(fdt);
	end(fdt);
	end(fdt);
}

static void make_tree(struct demo *d)
{
	void *fdt = d->dtb;

	assert_int_equal(fdt_create(fdt, sizeof(d->dtb)), 0);
	assert_int_equal(fdt_finish_reservemap(fdt), 0);
	begin(fdt, "");
	add_cells(fdt, "#address-cells", (uint32_t[]){ 2 }, 1);
	add_cells(fdt, "#size-cells", (uint32_t[]){ 2 }, 1);
	begin(fdt, "chosen");
	end(fdt);
	begin(fdt, "psci");
	string(fdt, "compatible", "arm,psci-1.0");
	end(fdt);
	begin(fdt, "gic");
	string(fdt, "compatible", "arm,gic-v3");
	assert_int_equal(fdt_property(fdt, "interrupt-controller", NULL, 0), 0);
	add_cells(fdt, "#interrupt-cells", (uint32_t[]){ 3 }, 1);
	add_cells(fdt, "reg",
		  (uint32_t[]){ 0, GHVM_IPA_GICD, 0, 0x10000, 0, (uint32_t)GHVM_IPA_GICR - 0x80000,
				0, 0xc0000 },
		  8);
	end(fdt);
	add_cpus(fdt, d->spec.cpus);
	add_config(fdt, d);
	end(fdt);
	assert_int_equal(fdt_finish(fdt), 0);
	d->plan.dtb = d->dtb;
	d->plan.dtb_size = fdt_totalsize(fdt);
}

static void add_step(struct ghvm_plan *p, enum ghvm_step_kind kind, unsigned int parcel)
{
	p->steps[p->n_steps++] = (struct ghvm_plan_step){ kind, parcel };
}

/* The order of decision 8. */
static void add_steps(struct ghvm_plan *p)
{
	add_step(p, GHVM_STEP_ALLOCATE, 0);
	for (unsigned int i = 0; i < p->n_parcels; i++)
		add_step(p, GHVM_STEP_PIN, i);
	add_step(p, GHVM_STEP_WRITE_KERNEL, 0);
	add_step(p, GHVM_STEP_WRITE_DTB, 0);
	for (unsigned int i = 0; i < p->n_parcels; i++) {
		add_step(p, GHVM_STEP_GUARD, i);
		add_step(p, p->parcels[i].lend ? GHVM_STEP_LEND : GHVM_STEP_SHARE, i);
	}
	add_step(p, GHVM_STEP_CONFIG_IMAGE, 0);
	add_step(p, GHVM_STEP_INIT, 0);
	add_step(p, GHVM_STEP_RESOURCES, 0);
	add_step(p, GHVM_STEP_GRANT, 0);
	add_step(p, GHVM_STEP_START, 0);
}

static int make_memfd(uint64_t size, int fill)
{
	int fd = memfd_create("demo", MFD_CLOEXEC);
	uint8_t page[GHVM_PAGE];

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	memset(page, fill, sizeof(page));
	for (uint64_t at = 0; fill && at < size; at += sizeof(page))
		assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)at), sizeof(page));
	return fd;
}

void demo_init(struct demo *d, const struct demo_options *options)
{
	static const struct demo_options plain;
	const struct demo_options *o = options ? options : &plain;
	struct ghvm_plan *p = &d->plan;

	*d = (struct demo){};
	memcpy(d->spec.name, "demo", 5);
	d->spec.cpus = o->cpus ? o->cpus : 1;
	d->spec.rm_rpc = o->rm_rpc;
	d->spec.memory = o->memory ? o->memory : GHVM_MIB(4);
	p->spec = &d->spec;
	p->quirks = ghvm_quirks_unknown();
	p->kernel_size = DEMO_KERNEL_SIZE;
	p->dtb_offset = DTB_OFFSET;
	p->dtb_room = DTB_ROOM;
	p->parcels[p->n_parcels++] = (struct ghvm_plan_parcel){ .name = "ram",
								.label = GHVM_LABEL_RAM,
								.lend = !o->shared,
								.ipa = GHVM_IPA_RAM,
								.size = d->spec.memory };
	if (o->window)
		p->parcels[p->n_parcels++] = (struct ghvm_plan_parcel){ .name = "window-5",
									.label = DEMO_WINDOW_LABEL,
									.ipa = GHVM_IPA_WINDOWS,
									.size = WINDOW_SIZE };
	p->doorbells[p->n_doorbells++] = GHVM_DOORBELL_UART;
	p->doorbells[p->n_doorbells++] = GHVM_DOORBELL_PL061;
	make_tree(d);
	add_steps(p);
	for (size_t i = 0; i < p->n_parcels; i++)
		d->memory[i] = make_memfd(p->parcels[i].size, 0);
	d->files = (struct ghvm_machine_files){
		.memory = d->memory,
		.kernel = make_memfd(DEMO_KERNEL_SIZE, KERNEL_BYTE),
		.initrd = -1,
	};
}

void demo_done(struct demo *d)
{
	for (size_t i = 0; i < d->plan.n_parcels; i++)
		closep(&d->memory[i]);
	closep(&d->files.kernel);
}
