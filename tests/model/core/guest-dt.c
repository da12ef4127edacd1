/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a guest's device tree as RM does (abi D.5, D.7, D.8).
 *
 * The tree is not trusted: it is checked as a whole before any look-up.
 */
#include "tests/model/core/core.h"

#include <libfdt.h>
#include <string.h>

#define GIC_SPI 0
#define IRQ_TYPE_MASK 0xf
#define IRQ_LEVEL 4
#define GIC_REG_BYTES 32 /* two ranges of two cells each */
#define GICR_FRAME 0x20000ULL
#define DT_MAX (MODEL_DT_SCRATCH - GHVM_KIB(64)) /* leaves room to patch it */

enum rm_status guest_dt_load(struct model *m, struct vm *vm)
{
	const struct parcel *p = parcel_find(m, vm->image);
	uint32_t size;

	if (!p || vm->dt_size < sizeof(struct fdt_header) ||
	    parcel_copy_out(m, p, vm->dt_off, m->dt, sizeof(struct fdt_header)) < 0 ||
	    fdt_check_header(m->dt) < 0)
		return RM_MEM_INVALID;
	size = fdt_totalsize((const void *)m->dt);
	if (size > vm->dt_size || size > DT_MAX || size < sizeof(struct fdt_header) ||
	    parcel_copy_out(m, p, vm->dt_off, m->dt, size) < 0 || fdt_check_full(m->dt, size) < 0)
		return RM_MEM_INVALID;
	return RM_OK;
}

/* One or two cells. */
static bool get_number(const void *dt, int node, const char *name, uint64_t *ret)
{
	int len;
	const fdt32_t *p = fdt_getprop(dt, node, name, &len);

	if (!p || (len != 4 && len != 8))
		return false;
	*ret = fdt32_ld(p);
	if (len == 8)
		*ret = *ret << 32 | fdt32_ld(p + 1);
	return true;
}

static bool get_u32(const void *dt, int node, const char *name, uint32_t *ret)
{
	uint64_t v;

	if (!get_number(dt, node, name, &v) || v > UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool has(const void *dt, int node, const char *name)
{
	return fdt_getprop(dt, node, name, NULL) != NULL;
}

/* The first string of a property, if it is a string and fits. */
static bool get_string(const void *dt, int node, const char *name, char *buf, size_t size)
{
	int len;
	const char *s = fdt_stringlist_get(dt, node, name, 0, &len);

	if (!s || (size_t)len >= size)
		return false;
	memcpy(buf, s, (size_t)len + 1);
	return true;
}

static bool is_string(const void *dt, int node, const char *name, const char *want)
{
	const char *s = fdt_stringlist_get(dt, node, name, 0, NULL);

	return s && !strcmp(s, want);
}

/* A path, or also a phandle (abi I.32). */
static int get_reference(const void *dt, int node, const char *name)
{
	int len;
	const char *p = fdt_getprop(dt, node, name, &len);

	if (!p)
		return -FDT_ERR_NOTFOUND;
	if (len == 4 && *p != '/')
		return fdt_node_offset_by_phandle(dt, fdt32_ld((const fdt32_t *)(const void *)p));
	p = fdt_stringlist_get(dt, node, name, 0, NULL);
	return p ? fdt_path_offset(dt, p) : -FDT_ERR_BADVALUE;
}

static int config_node(const void *dt)
{
	int node = fdt_path_offset(dt, "/gunyah-vm-config");

	return node >= 0 ? node : fdt_path_offset(dt, "/qcom,vm-config");
}

static enum rm_status parse_identity(const void *dt, int config, struct guest *g)
{
	int len;
	const void *guid = fdt_getprop(dt, config, "vm-guid", &len);

	if (!get_string(dt, config, "image-name", g->name, sizeof(g->name)))
		return RM_ARGUMENT_INVALID;
	(void)get_string(dt, config, "vm-uri", g->uri, sizeof(g->uri)); /* optional */
	g->has_guid = guid && len == (int)sizeof(g->guid);
	if (g->has_guid)
		memcpy(g->guid, guid, sizeof(g->guid));
	g->no_shutdown = fdt_stringlist_search(dt, config, "vm-attrs", "no-shutdown") >= 0;
	g->no_reset = fdt_stringlist_search(dt, config, "vm-attrs", "no-reset") >= 0;
	return RM_OK;
}

/* Without an address firmware is where the image is. */
static void parse_firmware(const void *dt, int node, struct guest *g)
{
	g->firmware_base = g->base;
	g->firmware_max = MODEL_FIRMWARE_MAX;
	if (node >= 0) {
		(void)get_number(dt, node, "firmware-address", &g->firmware_base); /* optional */
		(void)get_number(dt, node, "firmware-size-max", &g->firmware_max); /* likewise */
	}
	if (!g->vm->firmware_max)
		return;
	g->firmware_base = g->vm->firmware_base;
	g->firmware_max = g->vm->firmware_max;
}

static enum rm_status parse_memory(const void *dt, int config, struct guest *g)
{
	int node = fdt_subnode_offset(dt, config, "memory");

	if (g->vm->ram_size) {
		g->base = g->vm->ram_base;
		g->size_max = g->vm->ram_size;
		return RM_OK;
	}
	g->base = MODEL_BASE;
	g->size_max = MODEL_BASE_SIZE_MAX;
	if (node < 0 || !has(dt, node, "base-address"))
		return RM_OK;
	g->size_max = 0;
	(void)get_number(dt, node, "size-max", &g->size_max); /* optional */
	if (!get_number(dt, node, "base-address", &g->base) || !ghvm_aligned(g->base, MODEL_PAGE) ||
	    !ghvm_align_up(g->base, MODEL_BLOCK, &g->base))
		return RM_ARGUMENT_INVALID;
	return RM_OK;
}

static enum rm_status parse_gic_reg(const void *dt, int gic, struct guest *g)
{
	int len;
	const fdt64_t *reg = fdt_getprop(dt, gic, "reg", &len);

	g->gicd = MODEL_GICD;
	g->gicr = MODEL_GICR;
	if (!reg)
		return RM_OK;
	if (len != GIC_REG_BYTES)
		return RM_ARGUMENT_INVALID;
	g->gicd = fdt64_ld(reg);
	g->gicr = fdt64_ld(reg + 2);
	return fdt64_ld(reg + 3) < GICR_FRAME * g->n_vcpus ? RM_ARGUMENT_INVALID : RM_OK;
}

static enum rm_status parse_interrupts(const void *dt, int config, struct guest *g)
{
	int node = fdt_subnode_offset(dt, config, "interrupts");
	int gic = node < 0 ? node : get_reference(dt, node, "config");
	uint64_t cells = 0, stride = GICR_FRAME;

	if (gic < 0 || fdt_node_check_compatible(dt, gic, "arm,gic-v3") ||
	    !has(dt, gic, "interrupt-controller") ||
	    !get_number(dt, gic, "#interrupt-cells", &cells) || cells != 3)
		return RM_ARGUMENT_INVALID;
	if (get_number(dt, gic, "redistributor-stride", &stride) && stride < GICR_FRAME)
		return RM_ARGUMENT_INVALID;
	return parse_gic_reg(dt, gic, g);
}

static enum rm_status parse_vcpus(const void *dt, int config, struct guest *g)
{
	int node = fdt_subnode_offset(dt, config, "vcpus"), cpus, cpu;

	if (node < 0)
		return RM_NORESOURCE;
	g->proxy = is_string(dt, node, "affinity", "proxy");
	cpus = has(dt, node, "config") ? get_reference(dt, node, "config")
				       : fdt_path_offset(dt, "/cpus");
	if (cpus < 0)
		return RM_ARGUMENT_INVALID;
	fdt_for_each_subnode(cpu, dt, cpus)
	{
		if (!is_string(dt, cpu, "device_type", "cpu"))
			continue;
		if (g->n_vcpus && !is_string(dt, cpu, "enable-method", "psci"))
			return RM_ARGUMENT_INVALID;
		g->n_vcpus++;
	}
	return RM_OK;
}

/* 3 cells: kind, number, type. Only SPIs that the model's guests have. */
static bool parse_spi(const fdt32_t *cell, unsigned int *ret_spi, bool *ret_edge)
{
	*ret_spi = fdt32_ld(cell + 1);
	*ret_edge = (fdt32_ld(cell + 2) & IRQ_TYPE_MASK) != IRQ_LEVEL;
	return fdt32_ld(cell) == GIC_SPI && *ret_spi < MODEL_GUEST_SPIS;
}

static enum rm_status parse_irqs(const void *dt, int node, struct vdev *d)
{
	int len, want = d->type == VDEV_RM_RPC ? 24 : 12;
	const fdt32_t *p = fdt_getprop(dt, node, "interrupts", &len);
	bool edge;

	if (!p)
		return RM_OK;
	if (len != want || !parse_spi(p, &d->spi, &d->edge))
		return RM_ARGUMENT_INVALID;
	if (d->type == VDEV_RM_RPC && !parse_spi(p + 3, &d->spi2, &edge))
		return RM_ARGUMENT_INVALID;
	d->has_irq = true;
	return RM_OK;
}

static enum rm_status parse_doorbell(const void *dt, int node, struct vdev *d)
{
	const char *generate = d->type == VDEV_DOORBELL ? "/hypervisor/qcom,doorbell"
							: "/hypervisor/qcom,doorbell-source";

	if (!has(dt, node, "peer") && !has(dt, node, "peer-default"))
		return RM_ARGUMENT_INVALID;
	if (!get_u32(dt, node, "label", &d->label))
		(void)get_u32(dt, node, "qcom,label", &d->label); /* defaults to 0 */
	d->source_can_clear = has(dt, node, "source-can-clear");
	if (!d->generate[0])
		memcpy(d->generate, generate, strlen(generate) + 1);
	return d->type == VDEV_DOORBELL ? parse_irqs(dt, node, d) : RM_OK;
}

static enum rm_status parse_shm(const void *dt, int node, struct vdev *d)
{
	static const char generate[] = "/hypervisor/qcom,shm";
	int memory = fdt_subnode_offset(dt, node, "memory");

	if (memory < 0)
		return RM_ARGUMENT_INVALID;
	(void)get_u32(dt, memory, "label", &d->label); /* defaults to 0 */
	d->has_base = get_number(dt, memory, "base", &d->base);
	d->optional = has(dt, node, "optional");
	if (!d->generate[0])
		memcpy(d->generate, generate, sizeof(generate));
	if (d->has_base ? !ghvm_aligned(d->base, MODEL_PAGE) : !has(dt, memory, "allocate-base"))
		return RM_ARGUMENT_INVALID;
	return RM_OK;
}

static bool vdev_type(const void *dt, int node, enum vdev_type *ret)
{
	static const char *const names[] = {
		[VDEV_DOORBELL] = "doorbell",
		[VDEV_DOORBELL_SOURCE] = "doorbell-source",
		[VDEV_SHM] = "shm",
		[VDEV_RM_RPC] = "rm-rpc",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (is_string(dt, node, "vdevice-type", names[i])) {
			*ret = (enum vdev_type)i;
			return true;
		}
	}
	return false;
}

static enum rm_status parse_vdev(struct model *m, int node, struct vdev *d)
{
	const void *dt = m->dt;

	if (!vdev_type(dt, node, &d->type))
		return RM_NORESOURCE; /* the real RM has more kinds */
	if (has(dt, node, "generate") &&
	    !get_string(dt, node, "generate", d->generate, sizeof(d->generate)))
		return RM_ARGUMENT_INVALID;
	(void)get_string(dt, node, "push-compatible", d->compatible, sizeof(d->compatible));
	if (d->type == VDEV_SHM)
		return parse_shm(dt, node, d);
	if (d->type != VDEV_RM_RPC)
		return parse_doorbell(dt, node, d);
	if (!d->generate[0]) {
		rm_die(m, "rm: rm-rpc vdevice without generate");
		return RM_ARGUMENT_INVALID;
	}
	return parse_irqs(dt, node, d);
}

static enum rm_status parse_vdevs(struct model *m, int config, struct guest *g)
{
	int list = fdt_subnode_offset(m->dt, config, "vdevices"), node;
	enum rm_status status;

	if (list < 0)
		return RM_OK;
	fdt_for_each_subnode(node, m->dt, list)
	{
		if (g->n_vdevs == MODEL_VDEVS_MAX)
			return RM_NORESOURCE;
		status = parse_vdev(m, node, &g->vdevs[g->n_vdevs]);
		if (status != RM_OK)
			return status;
		g->n_vdevs++;
	}
	return RM_OK;
}

/* abi D.8: nodes that RM creates must not exist, and memory has a fixed name. */
static enum rm_status check_tree(const void *dt)
{
	int node = -1;

	if (fdt_path_offset(dt, "/hypervisor") >= 0 || fdt_path_offset(dt, "/chosen") < 0 ||
	    fdt_address_cells(dt, 0) != 2 || fdt_size_cells(dt, 0) != 2)
		return RM_ARGUMENT_INVALID;
	for (;;) {
		node = fdt_node_offset_by_prop_value(dt, node, "device_type", "memory", 7);
		if (node < 0)
			return RM_OK;
		if (strcmp(fdt_get_name(dt, node, NULL), "memory") || fdt_parent_offset(dt, node))
			return RM_ARGUMENT_INVALID;
	}
}

enum rm_status guest_dt_parse(struct model *m, struct guest *g)
{
	int config = config_node(m->dt);
	enum rm_status status = check_tree(m->dt);

	if (config < 0)
		return RM_MEM_INVALID;
	if (status == RM_OK)
		status = parse_identity(m->dt, config, g);
	if (status == RM_OK)
		status = parse_memory(m->dt, config, g);
	parse_firmware(m->dt, fdt_subnode_offset(m->dt, config, "memory"), g);
	if (status == RM_OK)
		status = parse_vcpus(m->dt, config, g);
	if (status == RM_OK)
		status = parse_interrupts(m->dt, config, g);
	if (status == RM_OK)
		status = parse_vdevs(m, config, g);
	return status;
}

/* A window: "reg" is one range, or only a "size" if RM is to choose the address. */
static int window_range(const void *dt, int node, uint64_t *ret_ipa, uint64_t *ret_size)
{
	int len;
	const fdt64_t *reg = fdt_getprop(dt, node, "reg", &len);

	if (!reg) {
		*ret_ipa = IPA_NONE;
		return get_number(dt, node, "size", ret_size) ? 1 : -1;
	}
	if (len != 16)
		return -1;
	*ret_ipa = fdt64_ld(reg);
	*ret_size = fdt64_ld(reg + 1);
	return ghvm_aligned(*ret_ipa, MODEL_PAGE) ? 1 : -1;
}

int guest_dt_window(struct model *m, uint32_t label, uint64_t *ret_ipa, uint64_t *ret_size)
{
	int parent = fdt_path_offset(m->dt, "/reserved-memory"), node;
	uint32_t v;

	if (parent < 0)
		return 0;
	fdt_for_each_subnode(node, m->dt, parent)
	{
		if (get_u32(m->dt, node, "qcom,label", &v) && v == label)
			return window_range(m->dt, node, ret_ipa, ret_size);
	}
	return 0;
}

int64_t guest_dt_window_label(struct model *m, unsigned int nth)
{
	int parent = fdt_path_offset(m->dt, "/reserved-memory"), node;
	uint32_t v;

	if (parent < 0)
		return -1;
	fdt_for_each_subnode(node, m->dt, parent)
	{
		if (get_u32(m->dt, node, "qcom,label", &v) && !nth--)
			return v;
	}
	return -1;
}
