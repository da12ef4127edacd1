/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a guest's device tree, one function per node.
 *
 * Errors of libfdt are kept in the writer and checked once, at the end. The tree has no /memory
 * and no /hypervisor node, as RM creates both (abi D.8).
 */
#include "libghvm/plan/dt.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/dt-lint.h"
#include "libghvm/plan/dt-overlay.h"
#include "ghvm/guest-map.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define WORK_SIZE (2 * GHVM_OVERLAY_MAX) /* of a tree while building; including overlays */
#define CELL_NAME 40

#define IRQ_SPI 0
#define IRQ_PPI 1
#define IRQ_EDGE 1
#define IRQ_PPI_LEVEL 0x108 /* active low, for all CPUs */

#define UART_SIZE 8
#define UART_CLOCK 1843200
#define APB_CLOCK 24000000
#define KEY_POWER 116
#define POWER_KEY_LINE 3

enum phandle {
	PHANDLE_GIC = 1,
	PHANDLE_CLOCK,
	PHANDLE_GPIO,
};

struct writer {
	void *fdt;
	int bad; /* first error of libfdt */
};

static void note_error(struct writer *w, int r)
{
	if (r < 0 && !w->bad)
		w->bad = r;
}

static void begin_node(struct writer *w, const char *name)
{
	note_error(w, fdt_begin_node(w->fdt, name));
}

static void begin_node_at(struct writer *w, const char *name, uint64_t address)
{
	char s[CELL_NAME];

	snprintf(s, sizeof(s), "%s@%llx", name, (unsigned long long)address);
	begin_node(w, s);
}

static void end_node(struct writer *w)
{
	note_error(w, fdt_end_node(w->fdt));
}

static void put_empty(struct writer *w, const char *name)
{
	note_error(w, fdt_property(w->fdt, name, NULL, 0));
}

static void put_string(struct writer *w, const char *name, const char *s)
{
	note_error(w, fdt_property_string(w->fdt, name, s));
}

/* @list: strings with their NULs, one after the other */
static void put_strings(struct writer *w, const char *name, const char *list, size_t size)
{
	note_error(w, fdt_property(w->fdt, name, list, (int)size));
}

static void put_cell(struct writer *w, const char *name, uint32_t v)
{
	note_error(w, fdt_property_u32(w->fdt, name, v));
}

static void put_cells(struct writer *w, const char *name, const uint32_t *v, size_t n)
{
	void *p;

	note_error(w, fdt_property_placeholder(w->fdt, name, (int)(n * sizeof(*v)), &p));
	for (size_t i = 0; !w->bad && i < n; i++)
		fdt32_st((uint8_t *)p + i * sizeof(*v), v[i]);
}

static void put_u64(struct writer *w, const char *name, uint64_t v)
{
	note_error(w, fdt_property_u64(w->fdt, name, v));
}

static void put_reg(struct writer *w, uint64_t address, uint64_t size)
{
	const uint32_t v[] = {
		(uint32_t)(address >> 32),
		(uint32_t)address,
		(uint32_t)(size >> 32),
		(uint32_t)size,
	};

	put_cells(w, "reg", v, ARRAY_SIZE(v));
}

/* Addresses and sizes of the children have two cells each. */
static void put_two_cells(struct writer *w)
{
	put_cell(w, "#address-cells", 2);
	put_cell(w, "#size-cells", 2);
}

/* A doorbell's label is its SPI (ghvm/plan.h). */
static void put_doorbell_irq(struct writer *w, uint32_t label)
{
	const uint32_t v[] = { IRQ_SPI, label, IRQ_EDGE };

	put_cells(w, "interrupts", v, ARRAY_SIZE(v));
}

static void put_chosen(struct writer *w, const struct ghvm_dt_machine *m)
{
	begin_node(w, "chosen");
	put_string(w, "bootargs", m->cmdline);
	put_u64(w, "kaslr-seed", m->kaslr_seed);
	if (m->initrd_size) {
		put_u64(w, "linux,initrd-start", m->initrd_ipa);
		put_u64(w, "linux,initrd-end", m->initrd_ipa + m->initrd_size);
	}
	if (m->console)
		put_string(w, "stdout-path", "serial0:115200n8");
	end_node(w);
}

static void put_cpus(struct writer *w, const struct ghvm_dt_machine *m)
{
	begin_node(w, "cpus");
	put_cell(w, "#address-cells", 1);
	put_cell(w, "#size-cells", 0);
	for (unsigned int i = 0; i < m->cpus; i++) {
		begin_node_at(w, "cpu", i);
		put_string(w, "device_type", "cpu");
		put_string(w, "compatible", "arm,armv8");
		put_cell(w, "reg", i);
		put_string(w, "enable-method", "psci");
		end_node(w);
	}
	end_node(w);

	begin_node(w, "psci");
	put_strings(w, "compatible", "arm,psci-1.0\0arm,psci-0.2",
		    sizeof("arm,psci-1.0\0arm,psci-0.2"));
	put_string(w, "method", "hvc");
	end_node(w);
}

static void put_gic(struct writer *w, const struct ghvm_dt_machine *m)
{
	const uint32_t reg[] = {
		0, GHVM_IPA_GICD, 0, GHVM_IPA_GICD_SIZE,
		0, GHVM_IPA_GICR, 0, m->cpus * (uint32_t)GHVM_IPA_GICR_SIZE,
	};
	const uint32_t timer[] = {
		IRQ_PPI, 13, IRQ_PPI_LEVEL, IRQ_PPI, 14, IRQ_PPI_LEVEL,
		IRQ_PPI, 11, IRQ_PPI_LEVEL, IRQ_PPI, 10, IRQ_PPI_LEVEL,
	};

	begin_node_at(w, "interrupt-controller", GHVM_IPA_GICD);
	put_string(w, "compatible", "arm,gic-v3");
	put_cell(w, "#interrupt-cells", 3);
	put_empty(w, "interrupt-controller");
	put_two_cells(w);
	put_cells(w, "reg", reg, ARRAY_SIZE(reg));
	put_cell(w, "phandle", PHANDLE_GIC);
	end_node(w);

	begin_node(w, "timer");
	put_string(w, "compatible", "arm,armv8-timer");
	put_empty(w, "always-on");
	put_cells(w, "interrupts", timer, ARRAY_SIZE(timer));
	end_node(w);
}

static void put_uart(struct writer *w)
{
	begin_node_at(w, "serial", GHVM_IPA_UART);
	put_string(w, "compatible", "ns16550a");
	put_reg(w, GHVM_IPA_UART, UART_SIZE);
	put_cell(w, "clock-frequency", UART_CLOCK);
	put_doorbell_irq(w, GHVM_DOORBELL_UART);
	end_node(w);
}

static void put_gpio(struct writer *w)
{
	begin_node(w, "apb-pclk");
	put_string(w, "compatible", "fixed-clock");
	put_cell(w, "#clock-cells", 0);
	put_cell(w, "clock-frequency", APB_CLOCK);
	put_cell(w, "phandle", PHANDLE_CLOCK);
	end_node(w);

	begin_node_at(w, "gpio", GHVM_IPA_PL061);
	put_strings(w, "compatible", "arm,pl061\0arm,primecell",
		    sizeof("arm,pl061\0arm,primecell"));
	put_reg(w, GHVM_IPA_PL061, GHVM_IPA_MMIO_PAGE);
	put_empty(w, "gpio-controller");
	put_cell(w, "#gpio-cells", 2);
	put_empty(w, "interrupt-controller");
	put_cell(w, "#interrupt-cells", 2);
	put_doorbell_irq(w, GHVM_DOORBELL_PL061);
	put_cell(w, "clocks", PHANDLE_CLOCK);
	put_string(w, "clock-names", "apb_pclk");
	put_cell(w, "phandle", PHANDLE_GPIO);
	end_node(w);
}

static void put_power_key(struct writer *w)
{
	const uint32_t line[] = { PHANDLE_GPIO, POWER_KEY_LINE, 0 };

	put_gpio(w);
	begin_node(w, "gpio-keys");
	put_string(w, "compatible", "gpio-keys");
	begin_node(w, "power");
	put_string(w, "label", "power");
	put_cell(w, "linux,code", KEY_POWER);
	put_cells(w, "gpios", line, ARRAY_SIZE(line));
	put_empty(w, "wakeup-source"); /* also wakes a guest in s2idle */
	end_node(w);
	end_node(w);
}

/* RM maps a shm parcel at the address that its label has here and in the vdevice (abi K.7). */
static void put_regions(struct writer *w, const struct ghvm_dt_machine *m)
{
	if (!m->n_windows)
		return;
	begin_node(w, "reserved-memory");
	put_two_cells(w);
	put_empty(w, "ranges");
	for (size_t i = 0; i < m->n_windows; i++) {
		begin_node_at(w, "window", m->windows[i].ipa);
		put_string(w, "compatible", "restricted-dma-pool");
		put_reg(w, m->windows[i].ipa, m->windows[i].size);
		put_cell(w, "qcom,label", m->windows[i].label);
		end_node(w);
	}
	end_node(w);
}

static void put_doorbell(struct writer *w, const char *name, uint32_t label)
{
	char path[CELL_NAME];

	snprintf(path, sizeof(path), "/hypervisor/%s", name);
	begin_node(w, name);
	put_string(w, "vdevice-type", "doorbell");
	put_string(w, "generate", path);
	put_cell(w, "label", label);
	put_empty(w, "peer-default");
	put_doorbell_irq(w, label);
	end_node(w);
}

static void put_shm(struct writer *w, const struct ghvm_dt_window *win)
{
	char name[CELL_NAME], path[CELL_NAME + 16];

	snprintf(name, sizeof(name), "shm-%x", win->label);
	snprintf(path, sizeof(path), "/hypervisor/%s", name);
	begin_node(w, name);
	put_string(w, "vdevice-type", "shm");
	put_string(w, "generate", path);
	put_empty(w, "peer-default");
	begin_node(w, "memory");
	put_two_cells(w);
	put_cell(w, "label", win->label);
	put_u64(w, "base", win->ipa);
	end_node(w);
	end_node(w);
}

static void put_vdevices(struct writer *w, const struct ghvm_dt_machine *m)
{
	begin_node(w, "vdevices");
	put_string(w, "generate", "/hypervisor");
	if (m->rm_rpc) {
		begin_node(w, "rm-rpc");
		put_string(w, "vdevice-type", "rm-rpc");
		/* without it the open RM dereferences NULL (abi D.7) */
		put_string(w, "generate", "/hypervisor/qcom,resource-manager-rpc");
		end_node(w);
	}
	if (m->console)
		put_doorbell(w, "bell-uart", GHVM_DOORBELL_UART);
	if (m->power_key)
		put_doorbell(w, "bell-gpio", GHVM_DOORBELL_PL061);
	for (size_t i = 0; i < m->n_windows; i++)
		put_shm(w, &m->windows[i]);
	end_node(w);
}

/* The configuration node for RM (abi D.7). */
static void put_config(struct writer *w, const struct ghvm_dt_machine *m)
{
	char gic[CELL_NAME];

	snprintf(gic, sizeof(gic), "/interrupt-controller@%llx", GHVM_IPA_GICD);
	begin_node(w, "gunyah-vm-config");
	put_string(w, "image-name", m->name);
	put_string(w, "os-type", "linux");

	begin_node(w, "memory");
	put_two_cells(w);
	put_u64(w, "base-address", m->ram_ipa);
	end_node(w);

	begin_node(w, "interrupts");
	put_string(w, "config", gic);
	end_node(w);

	/* proxy: scheduled by the host; the end of any other kind kills RM (abi K.6) */
	begin_node(w, "vcpus");
	put_string(w, "affinity", "proxy");
	end_node(w);

	put_vdevices(w, m);
	end_node(w);
}

static void put_tree(struct writer *w, const struct ghvm_dt_machine *m)
{
	note_error(w, fdt_create(w->fdt, WORK_SIZE));
	note_error(w, fdt_finish_reservemap(w->fdt));
	begin_node(w, "");
	put_two_cells(w);
	put_cell(w, "interrupt-parent", PHANDLE_GIC);
	put_string(w, "compatible", "linux,dummy-virt");
	put_string(w, "model", m->name);
	begin_node(w, "aliases");
	if (m->console) {
		char path[CELL_NAME];

		snprintf(path, sizeof(path), "/serial@%llx", GHVM_IPA_UART);
		put_string(w, "serial0", path);
	}
	end_node(w);
	put_chosen(w, m);
	put_cpus(w, m);
	put_gic(w, m);
	if (m->console)
		put_uart(w);
	if (m->power_key)
		put_power_key(w);
	put_regions(w, m);
	put_config(w, m);
	end_node(w);
	note_error(w, fdt_finish(w->fdt));
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
	const uint64_t end_node = ghvm_quirk(q, GHVM_QUIRK_TREE_SIZE);
	uint64_t size;
	uint8_t *p;

	if (fdt_pack(fdt))
		return ghvm_error_set(err, -EINVAL, "device tree: cannot be packed");
	if (!ghvm_align_up(fdt_totalsize(fdt), align, &size) || size >= end_node)
		return ghvm_error_set(err, -EINVAL,
				      "device tree: %u bytes, at most %" PRIu64 " fit",
				      fdt_totalsize(fdt), end_node - align);
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
	struct writer w = { .fdt = fdt };
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
