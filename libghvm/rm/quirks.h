/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Differences between resource managers (RM) as data: one row per generation, each number with
 * its source. All limits of this library are read from here.
 *
 * The row is chosen by facts that are safe to ask for. A wrong choice costs speed or a refusal,
 * never a page: untried numbers have the most careful value
 * (decision 37).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * enum ghvm_quirk - one number of a row; those marked (bool) are 0 or 1
 * @GHVM_QUIRK_ENTRIES: SGL entries, all VMs of a host together
 * @GHVM_QUIRK_VM_ENTRIES: as many entries fewer fit into RM's heap for each VM that there is
 * @GHVM_QUIRK_MESSAGE_ENTRIES: SGL entries in one message
 * @GHVM_QUIRK_PARCELS: memory parcels of one owner
 * @GHVM_QUIRK_VMID_FIRST, @GHVM_QUIRK_VMID_LAST: range of VMIDs that RM allocates
 * @GHVM_QUIRK_DOORBELLS: doorbells of one VM
 * @GHVM_QUIRK_TREE_SIZE: exclusive limit of a guest's device tree, bytes
 * @GHVM_QUIRK_TREE_ALIGN: the device tree is padded to a multiple of this
 * @GHVM_QUIRK_PRESPLIT: (bool) SHARE and RECLAIM must come before a LEND, which alone may
 *     leave the pages mapped in the host
 * @GHVM_QUIRK_IMAGE_SHARE: (bool) RAM may be shared with the host, or RM refuses it in a way that can
 *     be undone: protection "none". 0: such RAM is lent
 * @GHVM_QUIRK_REGIONS: (bool) the guest address of a region follows from a vdevice and a node
 *                      with its label
 * @GHVM_QUIRK_BOOT_CONTEXT: (bool) registers of the boot vCPU can be set
 * @GHVM_QUIRK_ADDRESS_LAYOUT: (bool) is told where RAM is, besides the device tree
 * @GHVM_QUIRK_AUTH_ANDROID: (bool) guests can begin with firmware that RM has (auth type 2)
 * @GHVM_QUIRK_AUTH_PLATFORM: (bool) images can be authenticated by the platform (auth type 1)
 * @GHVM_QUIRK_SCHEDULED_VCPUS: (bool) vCPUs scheduled by the hypervisor are safe
 */
enum ghvm_quirk {
	GHVM_QUIRK_ENTRIES,
	GHVM_QUIRK_VM_ENTRIES,
	GHVM_QUIRK_MESSAGE_ENTRIES,
	GHVM_QUIRK_PARCELS,
	GHVM_QUIRK_VMID_FIRST,
	GHVM_QUIRK_VMID_LAST,
	GHVM_QUIRK_DOORBELLS,
	GHVM_QUIRK_TREE_SIZE,
	GHVM_QUIRK_TREE_ALIGN,
	GHVM_QUIRK_PRESPLIT,
	GHVM_QUIRK_IMAGE_SHARE,
	GHVM_QUIRK_REGIONS,
	GHVM_QUIRK_BOOT_CONTEXT,
	GHVM_QUIRK_ADDRESS_LAYOUT,
	GHVM_QUIRK_AUTH_ANDROID,
	GHVM_QUIRK_AUTH_PLATFORM,
	GHVM_QUIRK_SCHEDULED_VCPUS,
	GHVM_QUIRK_COUNT_
};

/**
 * struct ghvm_quirk_value - a number and its source
 * @source: a section of docs/gunyah-abi.md, or how it was found out; static text
 */
struct ghvm_quirk_value {
	uint64_t value;
	const char *source;
};

/**
 * struct ghvm_quirks - a row, or a copy of one corrected by a probe
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

/* Entries for the memory of one VM, if there is no other. */
uint64_t ghvm_quirks_entries_alone(const struct ghvm_quirks *q);

/* "message-entries"; @which is below GHVM_QUIRK_COUNT_. */
const char *ghvm_quirk_to_string(enum ghvm_quirk which);
/* Is its value 0 or 1? */
bool ghvm_quirk_is_bool(enum ghvm_quirk which);

/* The row for an unrecognised resource manager. Static. */
const struct ghvm_quirks *ghvm_quirks_unknown(void);
/*
 * Row @i; the last one is for an unrecognised resource manager. NULL: @i is past the end. Static.
 */
const struct ghvm_quirks *ghvm_quirks_row(size_t i);

#define GHVM_QUIRKS_HOST_TYPE 0x01000164U /* what the open RM answers, abi C.5 */

/**
 * struct ghvm_quirks_facts - facts seen of a resource manager
 * @rm_capid: of a queue to RM; small in a debug image (abi K.1)
 * @answered: RM has answered the questions behind the following members
 * @has_host_type: RM knows VM_HOST_GET_TYPE, with @host_type as its answer
 * @has_boot_context, @has_address_layout: RM knows these messages (abi C.4)
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
 * @ret_why: the deciding fact; static text
 *
 * Return: a row, never NULL. Thread: any.
 */
const struct ghvm_quirks *ghvm_quirks_choose(const struct ghvm_quirks_facts *facts,
					     const char **ret_why);
