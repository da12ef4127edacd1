/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of resource managers, and the choice of a row.
 *
 * Only the open one was tried, as a debug and as a production image (abi K). Of the others the
 * messages are known but few numbers; their rows have the small numbers of the open one.
 */
#include "libghvm/rm/quirks.h"

#include "libghvm/base/bits.h"

#define SMALL_CAPID 0x10000 /* production images have random 64-bit ones */
#define NOT_TRIED "not tried: as open-2023"
#define CAREFUL "not tried: the careful side"
#define TRIED "tried by the first start that asks for it; undone if refused"

static const struct {
	const char *name;
	bool is_bool;
} names[GHVM_QUIRK_COUNT_] = {
	[GHVM_QUIRK_ENTRIES] = { "entries", false },
	[GHVM_QUIRK_VM_ENTRIES] = { "vm-entries", false },
	[GHVM_QUIRK_MESSAGE_ENTRIES] = { "message-entries", false },
	[GHVM_QUIRK_PARCELS] = { "parcels", false },
	[GHVM_QUIRK_VMID_FIRST] = { "vmid-first", false },
	[GHVM_QUIRK_VMID_LAST] = { "vmid-last", false },
	[GHVM_QUIRK_DOORBELLS] = { "doorbells", false },
	[GHVM_QUIRK_TREE_SIZE] = { "tree-size", false },
	[GHVM_QUIRK_TREE_ALIGN] = { "tree-align", false },
	[GHVM_QUIRK_PRESPLIT] = { "presplit", true },
	[GHVM_QUIRK_IMAGE_SHARE] = { "image-share", true },
	[GHVM_QUIRK_REGIONS] = { "regions", true },
	[GHVM_QUIRK_BOOT_CONTEXT] = { "boot-context", true },
	[GHVM_QUIRK_ADDRESS_LAYOUT] = { "address-layout", true },
	[GHVM_QUIRK_AUTH_ANDROID] = { "auth-android", true },
	[GHVM_QUIRK_AUTH_PLATFORM] = { "auth-platform", true },
	[GHVM_QUIRK_SCHEDULED_VCPUS] = { "scheduled-vcpus", true },
};

static const struct ghvm_quirks rows[] = {
	{
		/* the open one, production image */
		.generation = "open-2023",
		.v = {
			[GHVM_QUIRK_ENTRIES] = { 6500, "abi K.2" },
			[GHVM_QUIRK_VM_ENTRIES] = { 450, "abi K.2" },
			[GHVM_QUIRK_MESSAGE_ENTRIES] = { 64, "abi K.2" },
			[GHVM_QUIRK_PARCELS] = { 64, "abi K.2" },
			[GHVM_QUIRK_VMID_FIRST] = { 0x80, "abi C.5" },
			[GHVM_QUIRK_VMID_LAST] = { 0xbe, "abi C.5" },
			[GHVM_QUIRK_DOORBELLS] = { 32, "abi K.7" },
			[GHVM_QUIRK_TREE_SIZE] = { 0x4000, "abi K.7" },
			[GHVM_QUIRK_TREE_ALIGN] = { 8, "abi K.7" },
			[GHVM_QUIRK_PRESPLIT] = { 1, "abi K.3" },
			[GHVM_QUIRK_IMAGE_SHARE] = { 0, "abi K.7" },
			[GHVM_QUIRK_REGIONS] = { 1, "abi K.7" },
			[GHVM_QUIRK_BOOT_CONTEXT] = { 0, "abi K.10" },
			[GHVM_QUIRK_ADDRESS_LAYOUT] = { 0, "abi K.10" },
			[GHVM_QUIRK_AUTH_ANDROID] = { 1, "abi C.5" },
			[GHVM_QUIRK_AUTH_PLATFORM] = { 0, "abi J" },
			[GHVM_QUIRK_SCHEDULED_VCPUS] = { 0, "abi K.8" },
		},
	},
	{
		/* the same, debug image */
		.generation = "debug",
		.v = {
			[GHVM_QUIRK_ENTRIES] = { 4000, "abi K.2" },
			[GHVM_QUIRK_VM_ENTRIES] = { 0, "abi K.2" },
			[GHVM_QUIRK_MESSAGE_ENTRIES] = { 64, "abi K.2" },
			[GHVM_QUIRK_PARCELS] = { 64, "abi K.2" },
			[GHVM_QUIRK_VMID_FIRST] = { 0x80, "abi C.5" },
			[GHVM_QUIRK_VMID_LAST] = { 0xbe, "abi C.5" },
			[GHVM_QUIRK_DOORBELLS] = { 32, "abi K.7" },
			[GHVM_QUIRK_TREE_SIZE] = { 0x4000, "abi K.7" },
			[GHVM_QUIRK_TREE_ALIGN] = { 8, "abi K.7" },
			[GHVM_QUIRK_PRESPLIT] = { 1, "abi K.3" },
			[GHVM_QUIRK_IMAGE_SHARE] = { 1, "abi K.7" },
			[GHVM_QUIRK_REGIONS] = { 1, "abi K.7" },
			[GHVM_QUIRK_BOOT_CONTEXT] = { 0, "abi K.10" },
			[GHVM_QUIRK_ADDRESS_LAYOUT] = { 0, "abi K.10" },
			[GHVM_QUIRK_AUTH_ANDROID] = { 1, "abi C.5" },
			[GHVM_QUIRK_AUTH_PLATFORM] = { 0, "abi J" },
			[GHVM_QUIRK_SCHEDULED_VCPUS] = { 0, "abi K.8" },
		},
	},
	{
		/* knows VM_SET_BOOT_CONTEXT */
		.generation = "android14",
		.v = {
			[GHVM_QUIRK_ENTRIES] = { 4000, NOT_TRIED },
			[GHVM_QUIRK_VM_ENTRIES] = { 0, NOT_TRIED },
			[GHVM_QUIRK_MESSAGE_ENTRIES] = { 64, NOT_TRIED },
			[GHVM_QUIRK_PARCELS] = { 64, NOT_TRIED },
			[GHVM_QUIRK_VMID_FIRST] = { 0x80, NOT_TRIED },
			[GHVM_QUIRK_VMID_LAST] = { 0xbe, NOT_TRIED },
			[GHVM_QUIRK_DOORBELLS] = { 32, NOT_TRIED },
			[GHVM_QUIRK_TREE_SIZE] = { 0x4000, NOT_TRIED },
			[GHVM_QUIRK_TREE_ALIGN] = { 8, NOT_TRIED },
			[GHVM_QUIRK_PRESPLIT] = { 1, NOT_TRIED },
			[GHVM_QUIRK_IMAGE_SHARE] = { 1, TRIED },
			[GHVM_QUIRK_REGIONS] = { 1, "abi D.6" },
			[GHVM_QUIRK_BOOT_CONTEXT] = { 1, "abi C.5" },
			[GHVM_QUIRK_ADDRESS_LAYOUT] = { 0, "probed" },
			[GHVM_QUIRK_AUTH_ANDROID] = { 1, "abi C.5" },
			[GHVM_QUIRK_AUTH_PLATFORM] = { 1, "abi J" },
			[GHVM_QUIRK_SCHEDULED_VCPUS] = { 0, NOT_TRIED },
		},
	},
	{
		/* also knows VM_SET_ADDRESS_LAYOUT */
		.generation = "v17",
		.v = {
			[GHVM_QUIRK_ENTRIES] = { 4000, NOT_TRIED },
			[GHVM_QUIRK_VM_ENTRIES] = { 0, NOT_TRIED },
			[GHVM_QUIRK_MESSAGE_ENTRIES] = { 64, NOT_TRIED },
			[GHVM_QUIRK_PARCELS] = { 64, NOT_TRIED },
			[GHVM_QUIRK_VMID_FIRST] = { 0x80, NOT_TRIED },
			[GHVM_QUIRK_VMID_LAST] = { 0xbe, NOT_TRIED },
			[GHVM_QUIRK_DOORBELLS] = { 32, NOT_TRIED },
			[GHVM_QUIRK_TREE_SIZE] = { 0x4000, NOT_TRIED },
			[GHVM_QUIRK_TREE_ALIGN] = { 8, NOT_TRIED },
			[GHVM_QUIRK_PRESPLIT] = { 1, NOT_TRIED },
			[GHVM_QUIRK_IMAGE_SHARE] = { 1, TRIED },
			[GHVM_QUIRK_REGIONS] = { 1, "abi D.6" },
			[GHVM_QUIRK_BOOT_CONTEXT] = { 1, "abi C.5" },
			[GHVM_QUIRK_ADDRESS_LAYOUT] = { 1, "abi D.3" },
			[GHVM_QUIRK_AUTH_ANDROID] = { 1, "abi C.5" },
			[GHVM_QUIRK_AUTH_PLATFORM] = { 1, "abi J" },
			[GHVM_QUIRK_SCHEDULED_VCPUS] = { 0, NOT_TRIED },
		},
	},
	{
		/* not recognised; the last row */
		.generation = "unknown",
		.v = {
			[GHVM_QUIRK_ENTRIES] = { 4000, NOT_TRIED },
			[GHVM_QUIRK_VM_ENTRIES] = { 0, NOT_TRIED },
			[GHVM_QUIRK_MESSAGE_ENTRIES] = { 64, NOT_TRIED },
			[GHVM_QUIRK_PARCELS] = { 64, NOT_TRIED },
			[GHVM_QUIRK_VMID_FIRST] = { 0x80, NOT_TRIED },
			[GHVM_QUIRK_VMID_LAST] = { 0xbe, NOT_TRIED },
			[GHVM_QUIRK_DOORBELLS] = { 32, NOT_TRIED },
			[GHVM_QUIRK_TREE_SIZE] = { 0x4000, NOT_TRIED },
			[GHVM_QUIRK_TREE_ALIGN] = { 8, NOT_TRIED },
			[GHVM_QUIRK_PRESPLIT] = { 1, CAREFUL },
			[GHVM_QUIRK_IMAGE_SHARE] = { 1, TRIED },
			[GHVM_QUIRK_REGIONS] = { 0, CAREFUL },
			[GHVM_QUIRK_BOOT_CONTEXT] = { 0, CAREFUL },
			[GHVM_QUIRK_ADDRESS_LAYOUT] = { 0, CAREFUL },
			[GHVM_QUIRK_AUTH_ANDROID] = { 0, CAREFUL },
			[GHVM_QUIRK_AUTH_PLATFORM] = { 0, CAREFUL },
			[GHVM_QUIRK_SCHEDULED_VCPUS] = { 0, CAREFUL },
		},
	},
};

/* Indices of rows. */
enum {
	ROW_OPEN_2023,
	ROW_DEBUG,
	ROW_ANDROID14,
	ROW_V17,
	ROW_UNKNOWN,
};

uint64_t ghvm_quirks_entries_alone(const struct ghvm_quirks *q)
{
	return ghvm_quirk(q, GHVM_QUIRK_ENTRIES) - ghvm_quirk(q, GHVM_QUIRK_VM_ENTRIES);
}

const char *ghvm_quirk_to_string(enum ghvm_quirk which)
{
	return names[which].name;
}

bool ghvm_quirk_is_bool(enum ghvm_quirk which)
{
	return names[which].is_bool;
}

const struct ghvm_quirks *ghvm_quirks_row(size_t i)
{
	return i < ARRAY_SIZE(rows) ? &rows[i] : NULL;
}

const struct ghvm_quirks *ghvm_quirks_unknown(void)
{
	return &rows[ROW_UNKNOWN];
}

const struct ghvm_quirks *ghvm_quirks_choose(const struct ghvm_quirks_facts *facts,
					     const char **ret_why)
{
	if (!facts->answered) {
		*ret_why = "the resource manager did not answer the questions";
		return &rows[ROW_UNKNOWN];
	}
	if (facts->has_address_layout) {
		*ret_why = "knows VM_SET_ADDRESS_LAYOUT";
		return &rows[ROW_V17];
	}
	if (facts->has_boot_context) {
		*ret_why = "knows VM_SET_BOOT_CONTEXT, not VM_SET_ADDRESS_LAYOUT";
		return &rows[ROW_ANDROID14];
	}
	if (!facts->has_host_type || facts->host_type != GHVM_QUIRKS_HOST_TYPE) {
		*ret_why = "its VM_HOST_GET_TYPE is not the open resource manager's";
		return &rows[ROW_UNKNOWN];
	}
	if (facts->rm_capid < SMALL_CAPID) {
		*ret_why = "VM_HOST_GET_TYPE of the open resource manager, small capability ids";
		return &rows[ROW_DEBUG];
	}
	*ret_why = "VM_HOST_GET_TYPE of the open resource manager, large capability ids";
	return &rows[ROW_OPEN_2023];
}
