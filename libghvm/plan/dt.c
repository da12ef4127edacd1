/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a guest's device tree, one function per node; those of devices are written by their rows.
 *
 * The tree has no /memory and no /hypervisor node, as RM creates both (abi D.8).
 */
#include "libghvm/plan/dt.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/devices.h"
#include "libghvm/plan/dt-lint.h"
#include "libghvm/plan/dt-overlay.h"
#include "libghvm/plan/dt-writer.h"
#include "ghvm/guest-map.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define WORK_SIZE (2 * GHVM_OVERLAY_MAX) /* of a tree while building; including overlays */

#define IRQ_PPI 1
#define IRQ_PPI_LEVEL 0x108 /* active low, for all CPUs */

/* The device that /chosen names, with its alias; NULL: none. */
static const struct ghvm_plan_device *find_console(const struct ghvm_dt_machine *m)
{
	for (size_t i = 0; i < m->n_devices; i++)
		if (ghvm_device_kind(m->devices[i].name)->console)
			return &m->devices[i];
	return NULL;
}

static void put_aliases(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	const struct ghvm_plan_device *d = find_console(m);
	char path[DT_NAME_SIZE];

	dt_begin_node(w, "aliases");
	if (d) {
		snprintf(path, sizeof(path), "/%s@%" PRIx64, ghvm_device_kind(d->name)->node,
			 d->ipa);
		dt_put_string(w, "serial0", path);
	}
	dt_end_node(w);
}

static void put_chosen(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	dt_begin_node(w, "chosen");
	dt_put_string(w, "bootargs", m->cmdline);
	dt_put_u64(w, "kaslr-seed", m->kaslr_seed);
	if (m->initrd_size) {
		dt_put_u64(w, "linux,initrd-start", m->initrd_ipa);
		dt_put_u64(w, "linux,initrd-end", m->initrd_ipa + m->initrd_size);
	}
	if (find_console(m))
		dt_put_string(w, "stdout-path", "serial0:115200n8");
	dt_end_node(w);
}

static void put_cpus(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	dt_begin_node(w, "cpus");
	dt_put_cell(w, "#address-cells", 1);
	dt_put_cell(w, "#size-cells", 0);
	for (unsigned int i = 0; i < m->cpus; i++) {
		dt_begin_node_at(w, "cpu", i);
		dt_put_string(w, "device_type", "cpu");
		dt_put_string(w, "compatible", "arm,armv8");
		dt_put_cell(w, "reg", i);
		dt_put_string(w, "enable-method", "psci");
		dt_end_node(w);
	}
	dt_end_node(w);

	dt_begin_node(w, "psci");
	dt_put_strings(w, "compatible", "arm,psci-1.0\0arm,psci-0.2",
		       sizeof("arm,psci-1.0\0arm,psci-0.2"));
	dt_put_string(w, "method", "hvc");
	dt_end_node(w);
}

static void put_gic(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	const uint32_t reg[] = {
		0, GHVM_IPA_GICD, 0, GHVM_IPA_GICD_SIZE,
		0, GHVM_IPA_GICR, 0, m->cpus * (uint32_t)GHVM_IPA_GICR_SIZE,
	};
	const uint32_t timer[] = {
		IRQ_PPI, 13, IRQ_PPI_LEVEL, IRQ_PPI, 14, IRQ_PPI_LEVEL,
		IRQ_PPI, 11, IRQ_PPI_LEVEL, IRQ_PPI, 10, IRQ_PPI_LEVEL,
	};

	dt_begin_node_at(w, "interrupt-controller", GHVM_IPA_GICD);
	dt_put_string(w, "compatible", "arm,gic-v3");
	dt_put_cell(w, "#interrupt-cells", 3);
	dt_put_empty(w, "interrupt-controller");
	dt_put_two_cells(w);
	dt_put_cells(w, "reg", reg, ARRAY_SIZE(reg));
	dt_put_cell(w, "phandle", DT_PHANDLE_GIC);
	dt_end_node(w);

	dt_begin_node(w, "timer");
	dt_put_string(w, "compatible", "arm,armv8-timer");
	dt_put_empty(w, "always-on");
	dt_put_cells(w, "interrupts", timer, ARRAY_SIZE(timer));
	dt_end_node(w);
}

static void put_clock(struct dt_writer *w)
{
	dt_begin_node(w, "apb-pclk");
	dt_put_string(w, "compatible", "fixed-clock");
	dt_put_cell(w, "#clock-cells", 0);
	dt_put_cell(w, "clock-frequency", GHVM_APB_CLOCK);
	dt_put_cell(w, "phandle", DT_PHANDLE_CLOCK);
	dt_end_node(w);
}

static void put_devices(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	bool has_clock = false;

	for (size_t i = 0; i < m->n_devices; i++) {
		const struct ghvm_device_kind *kind = ghvm_device_kind(m->devices[i].name);

		if (kind->clock && !has_clock)
			put_clock(w);
		has_clock |= kind->clock;
		kind->put_node(w, kind, &m->devices[i]);
	}
}

/* Regions are in the order of the plan's parcels, after RAM. */
static bool is_for_device(const struct ghvm_dt_machine *m, size_t nth)
{
	for (size_t i = 0; i < m->n_devices; i++)
		if (m->devices[i].parcel == nth + 1)
			return true;
	return false;
}

/* RM maps a shm parcel at the address that its label has here and in the vdevice (abi K.7). */
static void put_regions(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	if (!m->n_regions)
		return;
	dt_begin_node(w, "reserved-memory");
	dt_put_two_cells(w);
	dt_put_empty(w, "ranges");
	for (size_t i = 0; i < m->n_regions; i++) {
		dt_begin_node_at(w, "window", m->regions[i].ipa); /* guests know this name */
		dt_put_string(w, "compatible", "restricted-dma-pool");
		dt_put_reg(w, m->regions[i].ipa, m->regions[i].size);
		dt_put_cell(w, "qcom,label", m->regions[i].label);
		if (is_for_device(m, i))
			dt_put_cell(w, "phandle", DT_PHANDLE_REGION + (uint32_t)i);
		dt_end_node(w);
	}
	dt_end_node(w);
}

static void put_doorbell(struct dt_writer *w, const struct ghvm_plan_device *d)
{
	char name[DT_NAME_SIZE], path[DT_NAME_SIZE + 16];

	if (d->doorbell == GHVM_DOORBELL_NONE)
		return;
	ghvm_device_bell(d, name, sizeof(name));
	snprintf(path, sizeof(path), "/hypervisor/%s", name);
	dt_begin_node(w, name);
	dt_put_string(w, "vdevice-type", "doorbell");
	dt_put_string(w, "generate", path);
	dt_put_cell(w, "label", d->doorbell);
	dt_put_empty(w, "peer-default");
	dt_put_doorbell_irq(w, d->doorbell);
	dt_end_node(w);
}

static void put_shm(struct dt_writer *w, const struct ghvm_dt_region *r)
{
	char name[DT_NAME_SIZE], path[DT_NAME_SIZE + 16];

	snprintf(name, sizeof(name), "shm-%x", r->label);
	snprintf(path, sizeof(path), "/hypervisor/%s", name);
	dt_begin_node(w, name);
	dt_put_string(w, "vdevice-type", "shm");
	dt_put_string(w, "generate", path);
	dt_put_empty(w, "peer-default");
	dt_begin_node(w, "memory");
	dt_put_two_cells(w);
	dt_put_cell(w, "label", r->label);
	dt_put_u64(w, "base", r->ipa);
	dt_end_node(w);
	dt_end_node(w);
}

static void put_vdevices(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	dt_begin_node(w, "vdevices");
	dt_put_string(w, "generate", "/hypervisor");
	if (m->rm_rpc) {
		dt_begin_node(w, "rm-rpc");
		dt_put_string(w, "vdevice-type", "rm-rpc");
		/* without it the open RM dereferences NULL (abi D.7) */
		dt_put_string(w, "generate", "/hypervisor/qcom,resource-manager-rpc");
		dt_end_node(w);
	}
	for (size_t i = 0; i < m->n_devices; i++)
		put_doorbell(w, &m->devices[i]);
	for (size_t i = 0; i < m->n_regions; i++)
		put_shm(w, &m->regions[i]);
	dt_end_node(w);
}

/* The configuration node for RM (abi D.7). */
static void put_config(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	char gic[DT_NAME_SIZE];

	snprintf(gic, sizeof(gic), "/interrupt-controller@%llx", GHVM_IPA_GICD);
	dt_begin_node(w, "gunyah-vm-config");
	dt_put_string(w, "image-name", m->name);
	dt_put_string(w, "os-type", "linux");

	dt_begin_node(w, "memory");
	dt_put_two_cells(w);
	dt_put_u64(w, "base-address", m->ram_ipa);
	if (m->firmware_end) { /* it is in RAM: at the same address (abi D.7) */
		dt_put_u64(w, "firmware-address", m->ram_ipa);
		dt_put_u64(w, "firmware-size-max", m->firmware_end);
	}
	dt_end_node(w);

	dt_begin_node(w, "interrupts");
	dt_put_string(w, "config", gic);
	dt_end_node(w);

	/* proxy: scheduled by the host; the end of any other kind kills RM (abi K.6) */
	dt_begin_node(w, "vcpus");
	dt_put_string(w, "affinity", "proxy");
	dt_end_node(w);

	put_vdevices(w, m);
	dt_end_node(w);
}

static void put_tree(struct dt_writer *w, const struct ghvm_dt_machine *m)
{
	dt_note_error(w, fdt_create(w->fdt, WORK_SIZE));
	dt_note_error(w, fdt_finish_reservemap(w->fdt));
	dt_begin_node(w, "");
	dt_put_two_cells(w);
	dt_put_cell(w, "interrupt-parent", DT_PHANDLE_GIC);
	dt_put_string(w, "compatible", "linux,dummy-virt");
	dt_put_string(w, "model", m->name);
	put_aliases(w, m);
	put_chosen(w, m);
	put_cpus(w, m);
	put_gic(w, m);
	put_devices(w, m);
	put_regions(w, m);
	put_config(w, m);
	dt_end_node(w);
	dt_note_error(w, fdt_finish(w->fdt));
}

/* Apply the overlay and check the resulting tree. */
static int put_overlay(const struct ghvm_dt_machine *m, void *fdt, const uint8_t *blob, size_t size,
		       struct ghvm_error *err)
{
	int r = ghvm_dt_overlay_apply(fdt, WORK_SIZE, blob, size, err);

	if (r == 0)
		r = ghvm_dt_lint(fdt, m->quirks, err);
	if (r == 0 && m->rm_rpc)
		r = ghvm_dt_lint_link(fdt, err);
	if (r < 0 && err && m->overlay_name)
		return ghvm_error_set(err, r, "kernel.dtb-overlay: %s: %s", m->overlay_name,
				      err->msg);
	return r;
}

/* Pack the tree to a size that suits RM's patching (abi K.7). */
static int finish_tree(void *fdt, const struct ghvm_quirks *q, uint8_t **ret, size_t *ret_size,
		       struct ghvm_error *err)
{
	const uint64_t align = ghvm_quirk(q, GHVM_QUIRK_TREE_ALIGN);
	const uint64_t limit = ghvm_quirk(q, GHVM_QUIRK_TREE_SIZE);
	uint64_t size;
	uint8_t *p;

	if (fdt_pack(fdt))
		return ghvm_error_set(err, -EINVAL, "device tree: cannot be packed");
	if (!ghvm_align_up(fdt_totalsize(fdt), align, &size) || size >= limit)
		return ghvm_error_set(err, -EINVAL,
				      "device tree: %u bytes, at most %" PRIu64 " fit",
				      fdt_totalsize(fdt), limit - align);
	p = calloc(1, size);
	if (!p)
		return -ENOMEM;
	memcpy(p, fdt, fdt_totalsize(fdt));
	fdt_set_totalsize(p, (uint32_t)size);
	*ret = p;
	*ret_size = size;
	return 0;
}

int ghvm_dt_build(const struct ghvm_dt_machine *m, const uint8_t *overlay, size_t overlay_size,
		  uint8_t **ret, size_t *ret_size, struct ghvm_error *err)
{
	_cleanup_(freep) void *fdt = calloc(1, WORK_SIZE);
	struct dt_writer w = { .fdt = fdt };
	int r;

	if (!fdt)
		return -ENOMEM;
	put_tree(&w, m);
	if (w.bad)
		return ghvm_error_set(err, -EINVAL, "device tree: %s", fdt_strerror(w.bad));
	if (overlay) {
		r = put_overlay(m, fdt, overlay, overlay_size, err);
		if (r < 0)
			return r;
	}
	return finish_tree(fdt, m->quirks, ret, ret_size, err);
}
