/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes a plan: from a spec to addresses, parcels and steps. Executes nothing.
 *
 * RAM begins with the kernel; the device tree and the initrd follow, each on a 2 MiB boundary, so
 * that neither shares a block with memory that the kernel clears. If the kernel is no Image, RAM
 * begins with the device tree: a program that was written for QEMU's machine "virt" looks for it
 * there.
 */
#include "ghvm/plan.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/plan/devices.h"
#include "libghvm/plan/dt.h"
#include "libghvm/plan/image.h"
#include "libghvm/plan/plan.h"
#include "libghvm/spec/pair.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK GHVM_MIB(2)

static uint64_t div_up(uint64_t v, uint64_t by)
{
	return v / by + (v % by != 0);
}

static uint64_t end_of(const struct ghvm_plan_parcel *p)
{
	return p->ipa + p->size; /* checked by place_region() and check_ram() */
}

/* ---- parcels ---- */

void ghvm_plan_parcel_forecast(struct ghvm_plan_parcel *p, enum ghvm_hugepages pages)
{
	const bool pool = pages == GHVM_HUGEPAGES_2M || pages == GHVM_HUGEPAGES_1G;
	uint64_t unit = pages == GHVM_HUGEPAGES_1G ? GHVM_GIB(1) : BLOCK;

	p->entries_best = div_up(p->size, unit);
	p->entries_worst = p->size / GHVM_PAGE;
	if (pool)
		p->entries_worst = p->entries_best;
	p->huge_best = pages == GHVM_HUGEPAGES_NEVER ? 0 : p->size / BLOCK;
	p->huge_worst = pool ? p->huge_best : 0;
}

static int check_ram(const struct ghvm_spec *spec, struct ghvm_error *err)
{
	uint64_t unit = spec->hugepages == GHVM_HUGEPAGES_1G ? GHVM_GIB(1) : BLOCK;
	uint64_t most = GHVM_IPA_END - ghvm_spec_ram(spec);

	if (!spec->memory || !ghvm_aligned(spec->memory, unit))
		return ghvm_error_set(err, -EINVAL,
				      "memory.size: %" PRIu64 " is not a multiple of %" PRIu64 "M",
				      spec->memory, unit >> 20);
	if (spec->memory > most)
		return ghvm_error_set(err, -EINVAL,
				      "memory.size: %" PRIu64 "M is more than %" PRIu64 "M",
				      spec->memory >> 20, most >> 20);
	return 0;
}

/* Where RM is known to refuse RAM that is shared, it is lent (decision 56). */
static bool lends_ram(const struct ghvm_plan *p)
{
	return p->spec->protection == GHVM_PROTECTION_PROTECTED ||
	       !ghvm_quirk(p->quirks, GHVM_QUIRK_IMAGE_SHARE);
}

static void add_ram(struct ghvm_plan *p)
{
	struct ghvm_plan_parcel *ram = &p->parcels[p->n_parcels++];

	*ram = (struct ghvm_plan_parcel){
		.name = "ram",
		.label = GHVM_LABEL_RAM,
		.lend = lends_ram(p),
		.ipa = ghvm_spec_ram(p->spec),
		.size = p->spec->memory,
	};
	ghvm_plan_parcel_forecast(ram, p->spec->hugepages);
}

/* @ipa and @size end below GHVM_IPA_END. */
static const struct ghvm_plan_parcel *find_overlap(const struct ghvm_plan *p, uint64_t ipa,
						   uint64_t size)
{
	for (size_t i = 0; i < p->n_parcels; i++)
		if (ipa < end_of(&p->parcels[i]) && p->parcels[i].ipa < ipa + size)
			return &p->parcels[i];
	return NULL;
}

/* The lowest free address range, on a 2 MiB boundary; 0: none. */
static uint64_t first_free(const struct ghvm_plan *p, uint64_t ipa, uint64_t end, uint64_t size)
{
	while (ipa < end && size <= end - ipa) {
		const struct ghvm_plan_parcel *other = find_overlap(p, ipa, size);

		if (!other)
			return ipa;
		if (!ghvm_align_up(end_of(other), BLOCK, &ipa))
			return 0;
	}
	return 0;
}

/* True if shared memory may be there: above the devices and below GHVM_IPA_END. */
static bool is_ipa_allowed(uint64_t ipa, uint64_t size)
{
	return ipa >= GHVM_IPA_REGIONS && ipa < GHVM_IPA_END && size <= GHVM_IPA_END - ipa;
}

static int place_region(struct ghvm_plan *p, size_t nth, uint64_t *ret, struct ghvm_error *err)
{
	const struct ghvm_spec_region *r = &p->spec->regions[nth];
	const struct ghvm_plan_parcel *other;

	if (!r->size || !ghvm_aligned(r->size, GHVM_PAGE) || !ghvm_aligned(r->address, GHVM_PAGE))
		return ghvm_error_set(err, -EINVAL,
				      "regions[%zu]: size and address are not whole pages", nth);
	if (!r->address) {
		*ret = first_free(p, GHVM_IPA_PLACED, GHVM_IPA_END, r->size);
		return *ret ? 0
			    : ghvm_error_set(err, -EINVAL,
					     "regions[%zu].size: no space for %" PRIu64
					     " bytes between 0x%llx and 0x%llx, beside RAM and the "
					     "other regions",
					     nth, r->size, GHVM_IPA_PLACED, GHVM_IPA_END);
	}
	if (!is_ipa_allowed(r->address, r->size))
		return ghvm_error_set(err, -EINVAL,
				      "regions[%zu].address: 0x%" PRIx64 " to its end is outside "
				      "of 0x%llx to 0x%llx",
				      nth, r->address, GHVM_IPA_REGIONS, GHVM_IPA_END);
	other = find_overlap(p, r->address, r->size);
	if (other)
		return ghvm_error_set(err, -EINVAL,
				      "regions[%zu].address: 0x%" PRIx64
				      " overlaps \"%s\" at 0x%" PRIx64,
				      nth, r->address, other->name, other->ipa);
	*ret = r->address;
	return 0;
}

static int add_region(struct ghvm_plan *p, size_t nth, struct ghvm_error *err)
{
	const struct ghvm_spec_region *r = &p->spec->regions[nth];
	struct ghvm_plan_parcel *w = &p->parcels[p->n_parcels];
	uint64_t ipa;
	int e;

	if (r->label > GHVM_LABEL_LAST)
		return ghvm_error_set(err, -EINVAL, "regions[%zu].label: %u is reserved", nth,
				      r->label);
	for (size_t i = 0; i < p->n_parcels; i++)
		if (p->parcels[i].label == r->label)
			return ghvm_error_set(err, -EINVAL, "regions[%zu].label: %u is in use", nth,
					      r->label);
	e = place_region(p, nth, &ipa, err);
	if (e < 0)
		return e;
	*w = (struct ghvm_plan_parcel){
		.label = r->label,
		.readonly = r->readonly,
		.paired = *r->with,
		.ipa = ipa,
		.size = r->size,
	};
	snprintf(w->name, sizeof(w->name), "region-%u", r->label);
	ghvm_plan_parcel_forecast(w, GHVM_HUGEPAGES_AUTO);
	p->n_parcels++;
	return 0;
}

/* Regions with an address first: the others go around them. */
static int add_parcels(struct ghvm_plan *p, struct ghvm_error *err)
{
	const struct ghvm_spec *spec = p->spec;
	int r = check_ram(spec, err);

	if (r < 0)
		return r;
	add_ram(p);
	for (unsigned int placed = 0; placed < 2; placed++) {
		for (size_t i = 0; i < spec->n_regions; i++) {
			if ((spec->regions[i].address == 0) != (placed == 1))
				continue;
			r = add_region(p, i, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/*
 * @best entries are too many: advise the largest pages if they would be few enough. If not, it is the regions, as RAM of
 * these pages takes a few dozen entries.
 */
static int over_budget(const struct ghvm_plan *p, uint64_t best, uint64_t budget,
		       struct ghvm_error *err)
{
	const struct ghvm_plan_parcel *ram = &p->parcels[0];
	const uint64_t regions = best - ram->entries_best;
	const uint64_t giant = regions + div_up(ram->size, GHVM_GIB(1));

	if (giant > budget)
		return ghvm_error_set(err, -EDQUOT,
				      "regions: take at least %" PRIu64
				      " entries of the resource manager's %" PRIu64
				      " for the whole host: make them smaller",
				      regions, budget);
	return ghvm_error_set(
		err, -EDQUOT,
		"memory.size: takes at least %" PRIu64 " entries of the resource manager's %" PRIu64
		" for the whole host: with memory.hugepages: 1G%s it takes %" PRIu64,
		best, budget, ghvm_aligned(ram->size, GHVM_GIB(1)) ? "" : " and a multiple of 1G",
		giant);
}

static int check_budget(struct ghvm_plan *p, struct ghvm_error *err)
{
	const uint64_t budget = ghvm_quirks_entries_alone(p->quirks);
	uint64_t best = 0;

	for (size_t i = 0; i < p->n_parcels; i++) {
		best += p->parcels[i].entries_best;
		p->charge += p->parcels[i].size;
	}
	p->memlock = p->charge;
	return best > budget ? over_budget(p, best, budget, err) : 0;
}

/* loaded images */

static int place_image(struct ghvm_plan *p, const struct ghvm_plan_input *in,
		       struct ghvm_error *err)
{
	struct ghvm_error why = {};
	struct ghvm_image image;
	int r = ghvm_image_parse(in->kernel_header, in->kernel_header_size, in->kernel_size, &image,
				 &why);

	if (r < 0)
		return ghvm_error_set(err, r, "kernel.image: %s: %s", p->spec->kernel, why.msg);
	if (!ghvm_align_up(image.room, BLOCK, &p->dtb_offset) || p->dtb_offset > UINT64_MAX - BLOCK)
		return ghvm_error_set(err, -EFBIG, "kernel.image: %s: its size wraps",
				      p->spec->kernel);
	p->initrd_offset = p->dtb_offset + BLOCK;
	return 0;
}

/* What the program needs beyond its file is not known; it has all of RAM that is not used. */
static int place_raw(struct ghvm_plan *p, const struct ghvm_plan_input *in, struct ghvm_error *err)
{
	if (!in->kernel_size)
		return ghvm_error_set(err, -ENOEXEC, "kernel.image: %s: is empty", p->spec->kernel);
	p->kernel_offset = BLOCK;
	if (in->kernel_size > UINT64_MAX - BLOCK ||
	    !ghvm_align_up(BLOCK + in->kernel_size, BLOCK, &p->initrd_offset))
		return ghvm_error_set(err, -EFBIG, "kernel.image: %s: its size wraps",
				      p->spec->kernel);
	return 0;
}

/*
 * Behind all files, in the parcel of RAM (abi D.4): a parcel of its own would be one more that the
 * guest owns. @used: at most the size of RAM. Return: bytes of RAM that are taken then.
 */
static uint64_t place_firmware(struct ghvm_plan *p, uint64_t used)
{
	const uint64_t size = p->spec->firmware ? p->spec->firmware : GHVM_FIRMWARE_SIZE;

	p->firmware_offset = (used + BLOCK - 1) & ~(BLOCK - 1); /* RAM ends below 32 GiB */
	p->firmware_size = size;
	return size > UINT64_MAX - p->firmware_offset ? UINT64_MAX : p->firmware_offset + size;
}

static int place_files(struct ghvm_plan *p, const struct ghvm_plan_input *in,
		       struct ghvm_error *err)
{
	const struct ghvm_spec *spec = p->spec;
	uint64_t need;
	int r = spec->format == GHVM_KERNEL_RAW ? place_raw(p, in, err) : place_image(p, in, err);

	if (r < 0)
		return r;
	if (spec->initrd && !in->initrd_size)
		return ghvm_error_set(err, -EINVAL, "kernel.initrd: %s: is empty", spec->initrd);
	if (in->initrd_size > UINT64_MAX - p->initrd_offset)
		return ghvm_error_set(err, -EFBIG, "kernel.initrd: %s: its size wraps",
				      spec->initrd);
	p->kernel_size = in->kernel_size;
	p->initrd_size = in->initrd_size;
	p->dtb_room = GHVM_DTB_ROOM;
	need = p->initrd_offset + in->initrd_size;
	if (need <= spec->memory && spec->auth == GHVM_AUTH_ANDROID)
		need = place_firmware(p, need);
	if (need > spec->memory)
		return ghvm_error_set(err, -EINVAL,
				      "memory.size: %" PRIu64 "M is too small: kernel, device tree "
				      "and initrd%s take %" PRIu64 "M",
				      spec->memory >> 20, p->firmware_size ? ", and firmware," : "",
				      div_up(need, GHVM_MIB(1)));
	return 0;
}

static int make_tree(struct ghvm_plan *p, const struct ghvm_plan_input *in, struct ghvm_error *err)
{
	struct ghvm_dt_region regions[GHVM_SPEC_REGIONS_MAX];
	const struct ghvm_spec *spec = p->spec;
	const struct ghvm_dt_machine m = {
		.name = spec->name,
		.cmdline = spec->cmdline,
		.ram_ipa = p->parcels[0].ipa,
		.initrd_ipa = p->parcels[0].ipa + p->initrd_offset,
		.initrd_size = p->initrd_size,
		.kaslr_seed = in->kaslr_seed,
		.cpus = spec->cpus,
		.rm_rpc = spec->rm_rpc,
		.quirks = p->quirks,
		.firmware_end = p->firmware_size ? p->firmware_offset + p->firmware_size : 0,
		.overlay_name = spec->dtb_overlay,
		.devices = p->devices,
		.n_devices = p->n_devices,
		.regions = regions,
		.n_regions = p->n_parcels - 1,
	};
	size_t size;
	int r;

	for (size_t i = 0; i < m.n_regions; i++) {
		const struct ghvm_plan_parcel *w = &p->parcels[i + 1];

		regions[i] = (struct ghvm_dt_region){ w->label, w->ipa, w->size };
	}
	r = ghvm_dt_build(&m, in->overlay, in->overlay_size, &p->dtb, &size, err);
	if (r == 0)
		p->dtb_size = size;
	return r;
}

/* ---- steps ---- */

static void add_step(struct ghvm_plan *p, enum ghvm_step_kind kind, size_t parcel)
{
	assert(p->n_steps < GHVM_PLAN_STEPS_MAX);
	p->steps[p->n_steps++] = (struct ghvm_plan_step){ kind, (unsigned int)parcel };
}

/* Steps that can fail without the hypervisor come first. */
static void add_steps(struct ghvm_plan *p)
{
	for (size_t i = 0; i < p->n_parcels; i++)
		add_step(p, GHVM_STEP_PIN, i);
	add_step(p, GHVM_STEP_WRITE_KERNEL, 0);
	if (p->initrd_size)
		add_step(p, GHVM_STEP_WRITE_INITRD, 0);
	add_step(p, GHVM_STEP_WRITE_DTB, 0);
	add_step(p, GHVM_STEP_ALLOCATE, 0);
	if (spec_peer(p->spec))
		add_step(p, GHVM_STEP_RESERVE, 0);
	for (size_t i = 0; i < p->n_parcels; i++) {
		add_step(p, GHVM_STEP_GUARD, i);
		add_step(p, p->parcels[i].lend ? GHVM_STEP_LEND : GHVM_STEP_SHARE, i);
	}
	add_step(p, GHVM_STEP_CONFIG_IMAGE, 0);
	if (p->spec->auth == GHVM_AUTH_PLATFORM)
		add_step(p, GHVM_STEP_AUTH_IMAGE, 0);
	if (p->firmware_size)
		add_step(p, GHVM_STEP_FIRMWARE_MEM, 0);
	if (ghvm_quirk(p->quirks, GHVM_QUIRK_ADDRESS_LAYOUT))
		add_step(p, GHVM_STEP_ADDRESS_LAYOUT, 0);
	add_step(p, GHVM_STEP_INIT, 0);
	if (p->n_registers)
		add_step(p, GHVM_STEP_BOOT_CONTEXT, 0);
	add_step(p, GHVM_STEP_RESOURCES, 0);
	add_step(p, GHVM_STEP_GRANT, 0);
	add_step(p, GHVM_STEP_START, 0);
}

void ghvm_plan_lend_ram(struct ghvm_plan *plan)
{
	plan->parcels[0].lend = true;
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].kind == GHVM_STEP_SHARE && plan->steps[i].parcel == 0)
			plan->steps[i].kind = GHVM_STEP_LEND;
}

static int add_doorbells(struct ghvm_plan *p, struct ghvm_error *err)
{
	const uint64_t most = ghvm_quirk(p->quirks, GHVM_QUIRK_DOORBELLS);

	for (size_t i = 0; i < p->n_devices; i++)
		if (p->devices[i].doorbell != GHVM_DOORBELL_NONE)
			p->doorbells[p->n_doorbells++] = p->devices[i].doorbell;
	if (p->n_doorbells > most)
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "devices: need %zu doorbells; the resource manager has "
				      "memory for %" PRIu64,
				      p->n_doorbells, most);
	return 0;
}

int ghvm_plan_check_cpus(const struct ghvm_spec *spec, unsigned int host_cpus,
			 struct ghvm_error *err)
{
	if (!host_cpus || spec->cpus <= host_cpus)
		return 0;
	return ghvm_error_set(err, -EINVAL, "cpus.count: %u vCPUs, but the host has %u CPUs",
			      spec->cpus, host_cpus);
}

static int check_auth(const struct ghvm_spec *spec, const struct ghvm_quirks *q,
		      struct ghvm_error *err)
{
	static const struct {
		enum ghvm_quirk quirk;
		const char *word;
	} auths[] = {
		[GHVM_AUTH_PLATFORM] = { GHVM_QUIRK_AUTH_PLATFORM, "platform" },
		[GHVM_AUTH_ANDROID] = { GHVM_QUIRK_AUTH_ANDROID, "android" },
	};

	if (spec->auth == GHVM_AUTH_NONE || ghvm_quirk(q, auths[spec->auth].quirk))
		return 0;
	return ghvm_error_set(err, -EOPNOTSUPP,
			      "auth.type: this resource manager (%s) is not known to have \"%s\"; "
			      "without the section auth the guest is not authenticated",
			      q->generation, auths[spec->auth].word);
}

/* Features that only some resource managers have. */
static int check_rm(const struct ghvm_plan *p, const struct ghvm_quirks *q, struct ghvm_error *err)
{
	const struct ghvm_spec *spec = p->spec;

	if (!q)
		return 0;
	if (p->n_registers && !ghvm_quirk(q, GHVM_QUIRK_BOOT_CONTEXT))
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "boot.%s: this resource manager (%s) does not know "
				      "VM_SET_BOOT_CONTEXT; without the section boot the guest "
				      "starts at its kernel's first byte",
				      p->registers[0].name, q->generation);
	if (spec->n_regions && !ghvm_quirk(q, GHVM_QUIRK_REGIONS))
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "regions: this resource manager (%s) is not known to map a "
				      "region at a chosen address",
				      q->generation);
	return check_auth(spec, q, err);
}

/* The guest must be able to begin at the entry: it is in RAM, which is all that can be executed. */
static int check_entry(const struct ghvm_plan *p, struct ghvm_error *err)
{
	const struct ghvm_spec_register *entry = &p->spec->boot.entry;
	const struct ghvm_plan_parcel *ram = &p->parcels[0];

	if (!entry->given || (entry->value >= ram->ipa && entry->value < end_of(ram)))
		return 0;
	return ghvm_error_set(err, -EINVAL,
			      "boot.entry: 0x%" PRIx64 " is not in RAM, 0x%" PRIx64
			      " to 0x%" PRIx64,
			      entry->value, ram->ipa, end_of(ram) - 1);
}

static int place_devices(struct ghvm_plan *p, struct ghvm_error *err)
{
	int r = ghvm_devices_place(ghvm_device_kinds, p->spec, p->devices, &p->n_devices, err);

	return r == 0 ? ghvm_devices_find_memory(p, err) : r;
}

static void add_register(struct ghvm_plan *p, const char *name, const struct ghvm_spec_register *r,
			 enum ghvm_rm_register_set set, uint8_t index)
{
	if (r->given)
		p->registers[p->n_registers++] =
			(struct ghvm_plan_register){ name, (uint8_t)set, index, r->value };
}

static void add_registers(struct ghvm_plan *p)
{
	const struct ghvm_spec_boot *b = &p->spec->boot;

	add_register(p, "entry", &b->entry, GHVM_RM_REGISTER_PC, 0);
	add_register(p, "x0", &b->x0, GHVM_RM_REGISTER_X, 0);
	add_register(p, "x1", &b->x1, GHVM_RM_REGISTER_X, 1);
	add_register(p, "x2", &b->x2, GHVM_RM_REGISTER_X, 2);
	add_register(p, "x3", &b->x3, GHVM_RM_REGISTER_X, 3);
	add_register(p, "sp", &b->sp, GHVM_RM_REGISTER_SP, 1); /* EL1's */
}

static int fill_plan(struct ghvm_plan *p, const struct ghvm_plan_input *in, struct ghvm_error *err)
{
	int r = ghvm_plan_check_cpus(p->spec, in->host_cpus, err);

	add_registers(p);
	if (r == 0)
		r = check_rm(p, in->quirks, err);
	if (r == 0)
		r = add_parcels(p, err);
	if (r == 0)
		r = check_entry(p, err);
	if (r == 0)
		r = check_budget(p, err);
	if (r == 0)
		r = place_files(p, in, err);
	if (r == 0)
		r = place_devices(p, err);
	if (r == 0)
		r = make_tree(p, in, err);
	if (r == 0)
		r = add_doorbells(p, err);
	if (r < 0)
		return r;
	add_steps(p);
	return 0;
}

int ghvm_plan_check(const struct ghvm_spec *spec, const struct ghvm_quirks *quirks,
		    struct ghvm_error *err)
{
	struct ghvm_plan p = {
		.spec = spec,
		.quirks = quirks ? quirks : ghvm_quirks_unknown(),
	};
	int r;

	add_registers(&p);
	r = check_rm(&p, quirks, err);
	if (r == 0)
		r = add_parcels(&p, err);
	if (r == 0)
		r = check_entry(&p, err);
	if (r == 0)
		r = check_budget(&p, err);
	return r == 0 ? place_devices(&p, err) : r;
}

int ghvm_plan_make(const struct ghvm_spec *spec, const struct ghvm_plan_input *in,
		   struct ghvm_plan *ret, struct ghvm_error *err)
{
	struct ghvm_plan p = {
		.spec = spec,
		.quirks = in->quirks ? in->quirks : ghvm_quirks_unknown(),
	};
	int r = fill_plan(&p, in, err);

	if (r < 0) {
		ghvm_plan_done(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void ghvm_plan_pinned(struct ghvm_plan *plan, size_t parcel, uint64_t extents, uint64_t huge)
{
	struct ghvm_plan_parcel *p = &plan->parcels[parcel];

	p->entries_best = extents;
	p->entries_worst = extents;
	p->huge_best = huge;
	p->huge_worst = huge;
}

void ghvm_plan_done(struct ghvm_plan *plan)
{
	free(plan->dtb);
	*plan = (struct ghvm_plan){};
}
