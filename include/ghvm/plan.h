/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole machine before anything is done: from a spec and the sizes of its images
 * to addresses, parcels, doorbells and the ordered steps of a start.
 *
 * Pure: opens nothing, calls nothing. What `ghvmctl plan` prints is this structure,
 * and machine.c executes the same one.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/base/guest-map.h"
#include "libghvm/rm/quirks.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define GHVM_PLAN_PARCELS_MAX (1 + GHVM_SPEC_REGIONS_MAX)
#define GHVM_PLAN_STEPS_MAX (32 + 6 * GHVM_PLAN_PARCELS_MAX)
#define GHVM_DTB_ROOM 0x100000ULL /* left for RM's patches, abi I.3 */

enum ghvm_step_kind {
	GHVM_STEP_ALLOCATE, /* VM_ALLOCATE */
	GHVM_STEP_PIN,	    /* parcel */
	GHVM_STEP_WRITE_KERNEL,
	GHVM_STEP_WRITE_INITRD,
	GHVM_STEP_WRITE_DTB,
	GHVM_STEP_GUARD, /* parcel */
	GHVM_STEP_LEND,	 /* parcel: MEM_LEND and APPENDs */
	GHVM_STEP_SHARE, /* parcel: MEM_SHARE and APPENDs */
	GHVM_STEP_CONFIG_IMAGE,
	GHVM_STEP_INIT,
	GHVM_STEP_RESOURCES, /* VM_GET_HYP_RESOURCES */
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
 * struct ghvm_plan_parcel - memory that changes hands
 * @name: "ram", or "window-LABEL"
 * @lend: lent (the guest alone), else shared with the host
 * @readonly: the guest may only read (shared windows)
 * @entries_best: SGL entries with 2 MiB pages; @entries_worst: with 4 KiB pages; both are
 *                what there are once it is pinned
 * @huge_best, @huge_worst: how many whole 2 MiB pages it may be of, likewise
 */
struct ghvm_plan_parcel {
	char name[24];
	uint32_t label;
	bool lend;
	bool readonly;
	uint64_t ipa;
	uint64_t size;
	uint64_t entries_best;
	uint64_t entries_worst;
	uint64_t huge_best;
	uint64_t huge_worst;
};

/**
 * struct ghvm_plan - a machine
 * @spec: borrowed, outlives the plan; @quirks: the limits that it keeps to, likewise
 * @kernel_offset: of the image in RAM (0: entry is its first byte, abi D.5); likewise
 *                 @initrd_offset, @dtb_offset; sizes in bytes
 * @dtb: the tree that is written to RAM, owned, @dtb_size bytes
 * @dtb_room: bytes reserved from @dtb_offset on
 * @parcels: parcels[0] is RAM
 * @doorbells: labels of those the guest receives
 * @memlock: bytes charged to RLIMIT_MEMLOCK; @charge: bytes to the unit's cgroup
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
	uint8_t *dtb;
	struct ghvm_plan_parcel parcels[GHVM_PLAN_PARCELS_MAX];
	size_t n_parcels;
	uint32_t doorbells[GHVM_DOORBELL_MAX];
	size_t n_doorbells;
	struct ghvm_plan_step steps[GHVM_PLAN_STEPS_MAX];
	size_t n_steps;
	uint64_t memlock;
	uint64_t charge;
};

/**
 * struct ghvm_plan_input - what a plan needs besides the spec
 * @kernel_header: first bytes of the kernel image (64 or more), @kernel_header_size
 * @kernel_size: of the file; @initrd_size: of the file, 0 without one
 * @overlay: device tree overlay blob or NULL, @overlay_size
 * @kaslr_seed: random, for /chosen
 * @quirks: of the host's resource manager, borrowed, outlive the plan; NULL: not known: careful
 *     numbers, and nothing is refused that only some cannot do
 * @host_cpus: online; a VM has at most as many vCPUs (abi K.7); 0: not checked
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
 * ghvm_plan_make() - lay a machine out
 * @ret: owned by the caller, ghvm_plan_done(); untouched on failure
 *
 * An error that is about a key of the descriptor begins with it, "memory.size: ...": it can be told
 * with its place, ghvm_spec_locate().
 *
 * Return: 0; -EINVAL, also: kernel and initrd do not fit into its memory; -ENOEXEC not an arm64
 * Image; -EFBIG; -EDQUOT more entries than the host has; -EOPNOTSUPP the host's resource manager
 * cannot.
 */
int ghvm_plan_make(const struct ghvm_spec *spec, const struct ghvm_plan_input *in,
		   struct ghvm_plan *ret, struct ghvm_error *err);
void ghvm_plan_done(struct ghvm_plan *plan);

/**
 * ghvm_plan_check() - of a plan, what can be judged without the files that a descriptor names and
 * without this host
 * @quirks: as for ghvm_plan_make(), NULL: not known
 *
 * Return: as ghvm_plan_make().
 */
int ghvm_plan_check(const struct ghvm_spec *spec, const struct ghvm_quirks *quirks,
		    struct ghvm_error *err);

/* The same of the host's CPUs, of which a VM has at most as many (abi K.7); 0: not known. */
int ghvm_plan_check_cpus(const struct ghvm_spec *spec, unsigned int host_cpus,
			 struct ghvm_error *err);

/* What its size and these pages allow: @entries_best to @huge_worst. */
void ghvm_plan_parcel_forecast(struct ghvm_plan_parcel *p, enum ghvm_hugepages pages);

/*
 * A parcel is pinned, in so many extents that cover so many aligned 2 MiB: from here on the
 * plan is exact (decision 14).
 */
void ghvm_plan_pinned(struct ghvm_plan *plan, size_t parcel, uint64_t extents, uint64_t huge);

/* May shared memory be there at all: below are the devices, above is the end of what we use. */
bool ghvm_layout_allows(uint64_t ipa, uint64_t size);

/**
 * struct ghvm_plan_message - equal messages in a row, to the resource manager
 * @id: message id (rm-abi.h)
 * @step: index of the step that sends them
 * @least, @most: how many; the same once memory is pinned
 */
struct ghvm_plan_message {
	uint32_t id;
	size_t step;
	uint64_t least;
	uint64_t most;
};

#define GHVM_PLAN_MESSAGES_MAX (8 + 6 * GHVM_PLAN_PARCELS_MAX)

/* All messages of a start, in order. Return: how many of @ret were written. */
size_t ghvm_plan_messages(const struct ghvm_plan *plan,
			  struct ghvm_plan_message ret[GHVM_PLAN_MESSAGES_MAX]);

/**
 * ghvm_plan_parcel_messages() - those that give one parcel: @id, and MEM_APPENDs for what one
 * message does not hold
 * @q: of the resource manager
 *
 * Return: how many of @ret were written, with a step of 0.
 */
size_t ghvm_plan_parcel_messages(const struct ghvm_quirks *q, uint32_t id,
				 const struct ghvm_plan_parcel *p, struct ghvm_plan_message ret[2]);

/* As a step of a plan has them: ,"messages":[...]; nothing if there are none. */
void ghvm_plan_messages_to_json(FILE *f, const struct ghvm_plan_message *v, size_t n);

/* "LEND ram" and so on, for people, SubState and journal. */
const char *ghvm_step_to_string(enum ghvm_step_kind kind);

/* The plan for people, and as JSON; malloc'ed NUL-terminated text or NULL. */
char *ghvm_plan_to_text(const struct ghvm_plan *plan);
char *ghvm_plan_to_json(const struct ghvm_plan *plan);
