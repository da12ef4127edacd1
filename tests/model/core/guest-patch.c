/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patches a guest's device tree at VM_START as RM does (abi D.8).
 *
 * Node offsets move with every change, so nodes are looked up again by path.
 */
#include "tests/model/core/core.h"

#include <libfdt.h>
#include <string.h>

#define GIC_SPI 0
#define IRQ_EDGE 1
#define IRQ_LEVEL 4
#define GICD_SIZE 0x10000ULL
#define GICR_FRAME 0x20000ULL
#define OVERLAY_LIMIT GHVM_KIB(16) /* above this RM builds after the tree (abi I.3) */
#define NAME_SIZE 96

#define HYPERVISOR_COMPATIBLE                                                                      \
	"gunyah-hypervisor\0qcom,gunyah-hypervisor-1.0\0qcom,gunyah-hypervisor\0simple-bus"
#define VM_COMPATIBLE "qcom,gunyah-vm-id-1.0\0qcom,gunyah-vm-id"
#define DOORBELL_COMPATIBLE "qcom,gunyah-doorbell\0qcom,gunyah-capability"
#define SOURCE_COMPATIBLE "qcom,gunyah-doorbell-source\0qcom,gunyah-capability"
#define SHM_COMPATIBLE "qcom,gunyah-shm"
#define RM_COMPATIBLE "gunyah-resource-manager\0qcom,resource-manager-1-0\0qcom,resource-manager"

/* "NAME@hex"; false: too long */
static bool unit_name(char buf[NAME_SIZE], const char *name, uint64_t unit)
{
	size_t at = strlen(name);
	unsigned int shift = 60;

	if (at + 18 > NAME_SIZE)
		return false;
	memcpy(buf, name, at);
	buf[at++] = '@';
	while (shift && !(unit >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		buf[at++] = "0123456789abcdef"[unit >> shift & 15];
		if (!shift)
			break;
	}
	buf[at] = 0;
	return true;
}

static int ensure_node(void *dt, const char *path)
{
	int node = fdt_path_offset(dt, path);

	return node >= 0 ? node : fdt_add_subnode(dt, 0, path + 1);
}

/* ---- memory ---- */

static const struct acl_entry *accepted(struct model *m, const struct vm *vm, unsigned int i)
{
	struct parcel *p = &m->parcels[i];
	const struct acl_entry *a = p->used ? parcel_acl(p, vm->vmid) : NULL;

	return a && a->accepted ? a : NULL;
}

/* The accepted range that starts lowest at or after @from; false: none. */
static bool next_range(struct model *m, const struct vm *vm, uint64_t from, uint64_t *ret_ipa,
		       uint64_t *ret_size)
{
	bool found = false;

	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		const struct acl_entry *a = accepted(m, vm, i);

		if (!a || a->ipa < from || (found && a->ipa >= *ret_ipa))
			continue;
		*ret_ipa = a->ipa;
		*ret_size = m->parcels[i].size;
		found = true;
	}
	return found;
}

static int append_range(void *dt, int node, uint64_t ipa, uint64_t size)
{
	int r = fdt_appendprop_u64(dt, node, "reg", ipa);

	return r < 0 ? r : fdt_appendprop_u64(dt, node, "reg", size);
}

/* All accepted ranges, including windows, sorted and merged (abi K.7). */
static int patch_memory(struct model *m, const struct vm *vm)
{
	int node = ensure_node(m->dt, "/memory"), r;
	uint64_t ipa = 0, size = 0, first = 0, bytes = 0;

	if (node < 0)
		return node;
	(void)fdt_delprop(m->dt, node, "reg"); /* may be missing */
	r = fdt_setprop_string(m->dt, node, "device_type", "memory");
	for (uint64_t from = 0; !r && next_range(m, vm, from, &ipa, &size); from = ipa + size) {
		if (bytes && first + bytes != ipa) {
			r = append_range(m->dt, node, first, bytes);
			bytes = 0;
		}
		if (!bytes)
			first = ipa;
		bytes += size;
	}
	return r || !bytes ? r : append_range(m->dt, node, first, bytes);
}

static int ensure_reserved(void *dt)
{
	int node = fdt_path_offset(dt, "/reserved-memory");

	if (node >= 0)
		return 0;
	node = fdt_add_subnode(dt, 0, "reserved-memory");
	if (node < 0)
		return node;
	if (fdt_setprop_u32(dt, node, "#address-cells", 2) ||
	    fdt_setprop_u32(dt, node, "#size-cells", 2) || fdt_setprop_empty(dt, node, "ranges"))
		return -FDT_ERR_NOSPACE;
	return 0;
}

/* A window without a node in the tree gets one, which Linux ignores. */
static int add_buffer(struct model *m, const struct parcel *p, uint64_t ipa)
{
	char name[NAME_SIZE];
	int node;

	if (ensure_reserved(m->dt) || !unit_name(name, "buffer", ipa))
		return -FDT_ERR_NOSPACE;
	node = fdt_add_subnode(m->dt, fdt_path_offset(m->dt, "/reserved-memory"), name);
	if (node < 0)
		return node;
	if (append_range(m->dt, node, ipa, p->size) ||
	    fdt_setprop_string(m->dt, node, "compatible", "qcom,shared-memory") ||
	    fdt_setprop_empty(m->dt, node, "no-map") ||
	    fdt_setprop_u32(m->dt, node, "peers", p->owner) ||
	    fdt_setprop_u32(m->dt, node, "qcom,rm-mem-handle", p->handle) ||
	    fdt_setprop_u32(m->dt, node, "qcom,label", p->label))
		return -FDT_ERR_NOSPACE;
	return 0;
}

/* Write the address that RM chose into a node. */
static int place_node(struct model *m, uint32_t label, uint64_t ipa, uint64_t size)
{
	int parent = fdt_path_offset(m->dt, "/reserved-memory"), node;

	fdt_for_each_subnode(node, m->dt, parent)
	{
		const fdt32_t *v = fdt_getprop(m->dt, node, "qcom,label", NULL);

		if (v && fdt32_ld(v) == label)
			return append_range(m->dt, node, ipa, size);
	}
	return -FDT_ERR_NOTFOUND;
}

static int patch_window(struct model *m, const struct parcel *p, uint64_t ipa)
{
	uint64_t at, size;
	int found = guest_dt_window(m, p->label, &at, &size);

	if (!found)
		return add_buffer(m, p, ipa);
	return at == IPA_NONE ? place_node(m, p->label, ipa, p->size) : 0;
}

static int patch_windows(struct model *m, const struct vm *vm)
{
	int r = 0;

	for (unsigned int i = 0; i < MODEL_PARCELS_MAX && !r; i++) {
		const struct acl_entry *a = accepted(m, vm, i);

		if (a && m->parcels[i].handle != vm->image)
			r = patch_window(m, &m->parcels[i], a->ipa);
	}
	return r;
}

/* ---- /hypervisor ---- */

static int put_identity(void *dt, const struct vm *vm, const struct guest *g)
{
	int node = fdt_add_subnode(dt, fdt_path_offset(dt, "/hypervisor"), "qcom,gunyah-vm");

	if (node < 0)
		return node;
	if (fdt_setprop(dt, node, "compatible", VM_COMPATIBLE, sizeof(VM_COMPATIBLE)) ||
	    fdt_setprop_u32(dt, node, "qcom,vmid", vm->vmid) ||
	    fdt_setprop_u32(dt, node, "qcom,owner-vmid", vm->owner) ||
	    fdt_setprop_string(dt, node, "qcom,vendor", "Qualcomm") ||
	    fdt_setprop_string(dt, node, "qcom,image-name", g->name))
		return -FDT_ERR_NOSPACE;
	if (g->uri[0] && fdt_setprop_string(dt, node, "qcom,vm-uri", g->uri))
		return -FDT_ERR_NOSPACE;
	return g->has_guid ? fdt_setprop(dt, node, "vm-guid", g->guid, sizeof(g->guid)) : 0;
}

static int put_hypervisor(void *dt, const struct vm *vm, const struct guest *g)
{
	int node = fdt_add_subnode(dt, 0, "hypervisor");

	if (node < 0)
		return node;
	if (fdt_setprop(dt, node, "compatible", HYPERVISOR_COMPATIBLE,
			sizeof(HYPERVISOR_COMPATIBLE)) ||
	    fdt_setprop_u32(dt, node, "#address-cells", 2) ||
	    fdt_setprop_u32(dt, node, "#size-cells", 0))
		return -FDT_ERR_NOSPACE;
	return put_identity(dt, vm, g);
}

/* The node that a vdevice's "generate" names, with its unit address; its parent exists. */
static int add_vdev_node(void *dt, const struct vdev *d)
{
	const char *slash = strrchr(d->generate, '/');
	uint64_t unit = d->type == VDEV_SHM ? d->label : d->guest_cap;
	char name[NAME_SIZE];
	int parent;

	if (!slash || !slash[1] || !unit_name(name, slash + 1, unit))
		return -FDT_ERR_BADPATH;
	parent = slash == d->generate
			 ? 0
			 : fdt_path_offset_namelen(dt, d->generate, (int)(slash - d->generate));
	return parent < 0 ? parent : fdt_add_subnode(dt, parent, name);
}

static int put_spi(void *dt, int node, unsigned int spi, bool edge)
{
	int r = fdt_appendprop_u32(dt, node, "interrupts", GIC_SPI);

	if (!r)
		r = fdt_appendprop_u32(dt, node, "interrupts", spi);
	return r ? r : fdt_appendprop_u32(dt, node, "interrupts", edge ? IRQ_EDGE : IRQ_LEVEL);
}

static int put_compatible(void *dt, int node, const struct vdev *d, const char *list, size_t size)
{
	int r = 0;

	if (d->compatible[0])
		r = fdt_appendprop_string(dt, node, "compatible", d->compatible);
	return r ? r : fdt_appendprop(dt, node, "compatible", list, (int)size);
}

static int put_label(void *dt, int node, const struct vdev *d)
{
	int r = fdt_setprop_u32(dt, node, "qcom,label", d->label);

	return r ? r : fdt_setprop_u32(dt, node, "label", d->label);
}

static int put_doorbell(void *dt, int node, const struct vdev *d)
{
	bool source = d->type == VDEV_DOORBELL_SOURCE;
	int r = source ? put_compatible(dt, node, d, SOURCE_COMPATIBLE, sizeof(SOURCE_COMPATIBLE))
		       : put_compatible(dt, node, d, DOORBELL_COMPATIBLE,
					sizeof(DOORBELL_COMPATIBLE));

	if (!r)
		r = fdt_setprop_u64(dt, node, "reg", d->guest_cap);
	if (!r && !source)
		r = put_spi(dt, node, d->spi, d->edge);
	return r ? r : put_label(dt, node, d);
}

/* TX before RX, as for the primary. */
static int put_rm_link(void *dt, int node, const struct vdev *d)
{
	int r = put_compatible(dt, node, d, RM_COMPATIBLE, sizeof(RM_COMPATIBLE));

	if (!r)
		r = append_range(dt, node, d->guest_cap, d->guest_cap2);
	if (!r)
		r = put_spi(dt, node, d->spi, true);
	return r ? r : put_spi(dt, node, d->spi2, true);
}

static int put_vdev(void *dt, const struct vdev *d)
{
	int node = add_vdev_node(dt, d), r;

	if (node < 0)
		return node;
	if (d->type == VDEV_RM_RPC)
		return put_rm_link(dt, node, d);
	if (d->type != VDEV_SHM)
		return put_doorbell(dt, node, d);
	r = put_compatible(dt, node, d, SHM_COMPATIBLE, sizeof(SHM_COMPATIBLE));
	return r ? r : put_label(dt, node, d);
}

static int patch_hypervisor(void *dt, const struct vm *vm, const struct guest *g)
{
	int r = put_hypervisor(dt, vm, g);

	for (unsigned int i = 0; i < g->n_vdevs && !r; i++)
		r = put_vdev(dt, &g->vdevs[i]);
	return r;
}

/* ---- the rest ---- */

static int patch_chosen(struct model *m)
{
	return fdt_setprop_u64(m->dt, fdt_path_offset(m->dt, "/chosen"), "kaslr-seed",
			       model_random(m));
}

static int patch_gic(void *dt, const struct guest *g)
{
	int node = fdt_node_offset_by_compatible(dt, -1, "arm,gic-v3"), r;

	if (node < 0 || fdt_getprop(dt, node, "reg", NULL))
		return node < 0 ? node : 0;
	r = append_range(dt, node, g->gicd, GICD_SIZE);
	return r ? r : append_range(dt, node, g->gicr, GICR_FRAME * g->n_vcpus);
}

static int patch_vsoc(void *dt)
{
	int node = ensure_node(dt, "/vsoc");

	return node < 0 ? node : fdt_setprop_string(dt, node, "compatible", "simple-bus");
}

static int patch_all(struct model *m, const struct vm *vm, const struct guest *g)
{
	int r = fdt_open_into(m->dt, m->dt, MODEL_DT_SCRATCH);

	if (!r)
		r = patch_chosen(m);
	if (!r)
		r = patch_memory(m, vm);
	if (!r)
		r = patch_windows(m, vm);
	if (!r)
		r = patch_gic(m->dt, g);
	if (!r)
		r = patch_vsoc(m->dt);
	if (!r)
		r = patch_hypervisor(m->dt, vm, g);
	return r ? r : fdt_pack(m->dt);
}

enum rm_status guest_dt_patch(struct model *m, struct vm *vm, struct guest *g)
{
	int r = patch_all(m, vm, g);
	uint64_t size, room;

	if (r) {
		model_log(m, "rm: cannot patch the tree: vmid, libfdt error", vm->vmid,
			  (uint64_t)-r);
		return RM_ARGUMENT_INVALID;
	}
	size = fdt_totalsize((const void *)m->dt);
	room = size > OVERLAY_LIMIT ? 2 * size : size;
	if (room > vm->dt_size)
		return RM_MEM_INVALID;
	if (parcel_copy_in(m, parcel_find(m, vm->image), vm->dt_off, m->dt, size) < 0)
		return RM_MEM_INVALID;
	return RM_OK;
}
