/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan of a machine: from a spec and the sizes of its images to addresses, parcels, doorbells
 * and the ordered steps of a start.
 *
 * Pure: opens nothing, calls nothing. `ghvmctl plan` prints this structure, and machine.c
 * executes the same one.
 */
#pragma once

#include "ghvm/api.h"
#include "ghvm/error.h"
#include "ghvm/guest-map.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

GHVM_BEGIN_DECLS

/* The limits of a resource manager; NULL where the library shall assume careful ones. */
struct ghvm_quirks;

#define GHVM_PLAN_DEVICES_MAX 34
#define GHVM_PLAN_PARCELS_MAX (1 + GHVM_SPEC_REGIONS_MAX)
#define GHVM_PLAN_REGISTERS_MAX 6
#define GHVM_PLAN_STEPS_MAX (32 + 6 * GHVM_PLAN_PARCELS_MAX)
#define GHVM_DTB_ROOM 0x100000ULL /* including space for RM's patches */

enum ghvm_step_kind {
	GHVM_STEP_ALLOCATE, /* VM_ALLOCATE */
	GHVM_STEP_RESERVE,  /* VM_ALLOCATE for the VM that has regions as well */
	GHVM_STEP_PIN,	    /* parcel */
	GHVM_STEP_WRITE_KERNEL,
	GHVM_STEP_WRITE_INITRD,
	GHVM_STEP_WRITE_DTB,
	GHVM_STEP_GUARD, /* parcel */
	GHVM_STEP_LEND,	 /* parcel: MEM_LEND and APPENDs */
	GHVM_STEP_SHARE, /* parcel: MEM_SHARE and APPENDs */
	GHVM_STEP_CONFIG_IMAGE,
	GHVM_STEP_AUTH_IMAGE,	  /* VM_AUTH_IMAGE */
	GHVM_STEP_FIRMWARE_MEM,	  /* VM_SET_FIRMWARE_MEM */
	GHVM_STEP_ADDRESS_LAYOUT, /* VM_SET_ADDRESS_LAYOUT */
	GHVM_STEP_INIT,
	GHVM_STEP_BOOT_CONTEXT, /* VM_SET_BOOT_CONTEXT for each register */
	GHVM_STEP_RESOURCES,	/* VM_GET_HYP_RESOURCES */
	GHVM_STEP_GRANT,
	GHVM_STEP_START, /* VM_START */
	GHVM_STEP_COUNT_
};

/**
 * struct ghvm_plan_step - one step of a start, in order
 * @parcel: index into the plan's parcels, where the kind says so
 */
struct ghvm_plan_step {
	enum ghvm_step_kind kind;
	unsigned int parcel;
};

/**
 * struct ghvm_plan_parcel - a parcel to be lent or shared
 * @name: "ram", or "region-LABEL"
 * @lend: lent (accessible to the guest only), else shared with the host
 * @readonly: the guest may only read (shared regions)
 * @paired: a second guest has it as well (spec: with)
 * @entries_best: SGL entries with the largest pages that may back it
 * @entries_worst: SGL entries with the smallest ones; both are forecasts until it is pinned, exact
 *                 afterwards
 * @huge_best, @huge_worst: number of whole 2 MiB pages; likewise
 */
struct ghvm_plan_parcel {
	char name[24];
	uint32_t label;
	bool lend;
	bool readonly;
	bool paired;
	uint64_t ipa;
	uint64_t size;
	uint64_t entries_best;
	uint64_t entries_worst;
	uint64_t huge_best;
	uint64_t huge_worst;
};

/**
 * struct ghvm_plan_device - a device: one page of registers; accesses to it trap to the host
 * @name: its kind: "uart", "power-key", "disk", "rng", "rtc", "vhost-user", "vsock",
 *        "watchdog"; static
 * @nth: 0 for the first of its kind
 * @ipa: address of the page
 * @doorbell: label of the doorbell that is its interrupt; GHVM_DOORBELL_NONE: it has none
 * @parcel: index of the plan's parcel that it accesses, if it does: 0 is RAM
 */
struct ghvm_plan_device {
	const char *name;
	unsigned int nth;
	uint64_t ipa;
	uint32_t doorbell;
	unsigned int parcel;
};

/**
 * struct ghvm_plan_register - a register of the boot vCPU that is set before the start
 * @name: "entry", "x0"; static
 * @set, @index: as the resource manager numbers it (abi C.5)
 */
struct ghvm_plan_register {
	const char *name;
	uint8_t set;
	uint8_t index;
	uint64_t value;
};

/**
 * struct ghvm_plan - a machine
 * @spec: borrowed, outlives the plan
 * @quirks: limits of the plan; borrowed, outlive it
 * @kernel_offset: offset of the image in RAM, where the guest starts unless a register says
 *                 otherwise (abi D.5); likewise @initrd_offset and @dtb_offset; sizes in bytes
 * @firmware_offset, @firmware_size: bytes of RAM for the resource manager's firmware, with which
 *                                   the guest begins then; size 0: none
 * @dtb: the device tree to write to RAM, owned, @dtb_size bytes
 * @dtb_room: bytes reserved from @dtb_offset on
 * @parcels: parcels[0] is RAM
 * @devices: @n_devices of them
 * @registers: @n_registers of them; the others are the resource manager's choice
 * @doorbells: labels of doorbells from the host to the guest
 * @watchdog: RM has given the guest a watchdog; known once it was built
 * @memlock: bytes charged to RLIMIT_MEMLOCK
 * @charge: bytes charged to the unit's cgroup
 */
struct ghvm_plan {
	const struct ghvm_spec *spec;
	const struct ghvm_quirks *quirks;
	uint64_t kernel_offset;
	uint64_t kernel_size;
	uint64_t initrd_offset;
	uint64_t initrd_size;
	uint64_t dtb_offset;
	uint64_t dtb_size;
	uint64_t dtb_room;
	uint64_t firmware_offset;
	uint64_t firmware_size;
	uint8_t *dtb;
	struct ghvm_plan_parcel parcels[GHVM_PLAN_PARCELS_MAX];
	size_t n_parcels;
	struct ghvm_plan_device devices[GHVM_PLAN_DEVICES_MAX];
	size_t n_devices;
	struct ghvm_plan_register registers[GHVM_PLAN_REGISTERS_MAX];
	size_t n_registers;
	uint32_t doorbells[GHVM_DOORBELL_MAX];
	size_t n_doorbells;
	bool watchdog;
	struct ghvm_plan_step steps[GHVM_PLAN_STEPS_MAX];
	size_t n_steps;
	uint64_t memlock;
	uint64_t charge;
};

/**
 * struct ghvm_plan_input - input of a plan besides the spec
 * @kernel_header: first bytes of the kernel image (64 or more), @kernel_header_size
 * @kernel_size: of the file; @initrd_size: of the file, 0 without one
 * @overlay: device tree overlay blob or NULL, @overlay_size
 * @kaslr_seed: random, for /chosen
 * @quirks: of the host's resource manager, borrowed, outlive the plan; NULL: unknown: the limits
 *          are cautious, and features that only some have are not refused
 * @host_cpus: number of online CPUs, the limit for vCPUs (abi K.7); 0: not checked
 */
struct ghvm_plan_input {
	const uint8_t *kernel_header;
	size_t kernel_header_size;
	uint64_t kernel_size;
	uint64_t initrd_size;
	const uint8_t *overlay;
	size_t overlay_size;
	uint64_t kaslr_seed;
	const struct ghvm_quirks *quirks;
	unsigned int host_cpus;
};

/**
 * ghvm_plan_make() - make a plan
 * @ret: owned by the caller, ghvm_plan_done(); untouched on failure
 *
 * An error about a key of the descriptor begins with the key, "memory.size: ...", so that
 * ghvm_spec_locate() can add its place.
 *
 * Return: 0; -EINVAL, also: kernel and initrd do not fit into memory; -ENOEXEC not an arm64
 * Image; -EFBIG; -EDQUOT more entries than the host has; -EOPNOTSUPP not supported by the host's
 * resource manager.
 */
int ghvm_plan_make(const struct ghvm_spec *spec, const struct ghvm_plan_input *in,
		   struct ghvm_plan *ret, struct ghvm_error *err);
void ghvm_plan_done(struct ghvm_plan *plan);

/**
 * ghvm_plan_check() - check a descriptor without its files and without this host
 * @quirks: as for ghvm_plan_make()
 *
 * Return: as ghvm_plan_make().
 */
int ghvm_plan_check(const struct ghvm_spec *spec, const struct ghvm_quirks *quirks,
		    struct ghvm_error *err);

/* Check the number of vCPUs against the host's CPUs (abi K.7); 0: unknown. */
int ghvm_plan_check_cpus(const struct ghvm_spec *spec, unsigned int host_cpus,
			 struct ghvm_error *err);

/**
 * struct ghvm_plan_message - a run of equal messages to the resource manager
 * @id: message id, ghvm_rm_message_to_string()
 * @step: index of the step that sends them
 * @least, @most: their number; equal once memory is pinned
 */
struct ghvm_plan_message {
	uint32_t id;
	size_t step;
	uint64_t least;
	uint64_t most;
};

#define GHVM_PLAN_MESSAGES_MAX (12 + 6 * GHVM_PLAN_PARCELS_MAX)

/* All messages of a start, in order. Return: number of messages in @ret. */
size_t ghvm_plan_messages(const struct ghvm_plan *plan,
			  struct ghvm_plan_message ret[GHVM_PLAN_MESSAGES_MAX]);

/* "lend", for messages, SubState and journal. */
const char *ghvm_step_to_string(enum ghvm_step_kind kind);

/* The plan as text and as JSON; malloc'ed, NUL-terminated, or NULL. */
char *ghvm_plan_to_text(const struct ghvm_plan *plan);
char *ghvm_plan_to_json(const struct ghvm_plan *plan);

GHVM_END_DECLS
