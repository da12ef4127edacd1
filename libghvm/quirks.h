/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What resource managers (RM) differ in, as data: one row a generation, each number with
 * where it is from. All limits that this library keeps to are read from here.
 *
 * Which row is right is guessed from facts that are safe to ask for. A wrong guess costs
 * speed or a refusal, never a page: what nobody has tried has the most careful value.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * enum ghvm_quirk - one number of a row; those marked (bool) are 0 or 1
 * @GHVM_QUIRK_ENTRIES: SGL entries of all VMs of a host together
 * @GHVM_QUIRK_MESSAGE_ENTRIES: of one message
 * @GHVM_QUIRK_PARCELS: of one owner
 * @GHVM_QUIRK_VMID_FIRST, @GHVM_QUIRK_VMID_LAST: those that RM gives out
 * @GHVM_QUIRK_DOORBELLS: of one VM
 * @GHVM_QUIRK_TREE_SIZE: a guest's device tree stays below this, bytes
 * @GHVM_QUIRK_TREE_ALIGN: and is padded to a multiple of this
 * @GHVM_QUIRK_PRESPLIT: (bool) SHARE and RECLAIM must come before a LEND, which alone may
 *     leave the pages mapped in the host
 * @GHVM_QUIRK_IMAGE_SHARE: (bool) RAM may be shared with the host: protection "none"
 * @GHVM_QUIRK_WINDOWS: (bool) we choose where a window is, by a vdevice and a node of its label
 * @GHVM_QUIRK_SCHEDULED_VCPUS: (bool) vCPUs that the hypervisor schedules are safe
 */
enum ghvm_quirk {
	GHVM_QUIRK_ENTRIES,
	GHVM_QUIRK_MESSAGE_ENTRIES,
	GHVM_QUIRK_PARCELS,
	GHVM_QUIRK_VMID_FIRST,
	GHVM_QUIRK_VMID_LAST,
	GHVM_QUIRK_DOORBELLS,
	GHVM_QUIRK_TREE_SIZE,
	GHVM_QUIRK_TREE_ALIGN,
	GHVM_QUIRK_PRESPLIT,
	GHVM_QUIRK_IMAGE_SHARE,
	GHVM_QUIRK_WINDOWS,
	GHVM_QUIRK_SCHEDULED_VCPUS,
	GHVM_QUIRK_COUNT_
};

/**
 * struct ghvm_quirk_value - a number, and who says so
 * @source: a section of the notes, or how it was found out; static text
 */
struct ghvm_quirk_value {
	uint64_t value;
	const char *source;
};

/**
 * struct ghvm_quirks - a row, or a copy of one with what a probe has found out
 * @generation: "open-2023" and so on; static text
 */
struct ghvm_quirks {
	const char *generation;
	struct ghvm_quirk_value v[GHVM_QUIRK_COUNT_];
};

static inline uint64_t ghvm_quirk(const struct ghvm_quirks *q, enum ghvm_quirk which)
{
	return q->v[which].value;
}

/* "message-entries"; @which is below GHVM_QUIRK_COUNT_. */
const char *ghvm_quirk_to_string(enum ghvm_quirk which);
/* Is it one of those that are 0 or 1? */
bool ghvm_quirk_is_bool(enum ghvm_quirk which);

/* The row for a resource manager that nobody recognised. Static. */
const struct ghvm_quirks *ghvm_quirks_unknown(void);
/* All rows, that one last; NULL: @i is past the end. Static. */
const struct ghvm_quirks *ghvm_quirks_row(size_t i);

#define GHVM_QUIRKS_HOST_TYPE 0x01000164U /* what the open RM answers, abi C.5 */

/**
 * struct ghvm_quirks_facts - what was seen of this one
 * @rm_capid: of a queue to RM: one of a debug image is small (abi K.1)
 * @answered: RM has answered all that follows
 * @has_host_type: it has VM_HOST_GET_TYPE, whose answer is @host_type
 * @has_boot_context, @has_address_layout: it knows these messages (abi C.4)
 */
struct ghvm_quirks_facts {
	uint64_t rm_capid;
	bool answered;
	bool has_host_type;
	uint32_t host_type;
	bool has_boot_context;
	bool has_address_layout;
};

/**
 * ghvm_quirks_choose() - the row that fits
 * @ret_why: what decided; static text
 *
 * Return: a row, never NULL. Thread: any.
 */
const struct ghvm_quirks *ghvm_quirks_choose(const struct ghvm_quirks_facts *facts,
					     const char **ret_why);
