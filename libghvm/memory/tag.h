/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tag of a guarded pin: lets a later process give its pages back after this one has died.
 *
 * 64 bytes, little-endian: u16 magic, u16 version, u32 crc32 (of the tag with 0 here), u16 vmid,
 * u8 kind, u8 flags, u32 label, u32 handle, u32 after, u64 incarnation, u32 page of ipa,
 * name[28].
 *
 * Version 3 is for pages that two guests have, which are shared: u16 vmid of the second guest instead of kind and
 * flags, name[27], u8 flags. So an earlier manager can read all tags but those.
 *
 * Version 1 of earlier managers is read as well. It has u64 ipa instead of u32 after and u32
 * page; if flag 1 is set its handle means "after"; it has no SURE.
 */
#pragma once

#include "ghvm/types.h"

#include <stdbool.h>
#include <stdint.h>

#define GHVM_TAG_BYTES 64 /* GHVM_TAG_SIZE of the module */

enum ghvm_tag_kind {
	GHVM_TAG_LENT = 1,
	GHVM_TAG_SHARED = 2,
};

#define GHVM_TAG_READONLY 0x2

/*
 * A transaction in progress adds (COMING) or removes (GOING) the region. While one region of the
 * transaction has UNDECIDED, recovery undoes the transaction; without it, recovery completes it.
 */
#define GHVM_TAG_COMING 0x4
#define GHVM_TAG_GOING 0x8
#define GHVM_TAG_UNDECIDED 0x10
#define GHVM_TAG_CHANGE (GHVM_TAG_COMING | GHVM_TAG_GOING | GHVM_TAG_UNDECIDED)

/*
 * RM has acted on @handle. Without this flag a single reply has reported the handle: that RM does
 * not know it then proves nothing.
 */
#define GHVM_TAG_SURE 0x20

/* The second guest may only read. */
#define GHVM_TAG_WITH_READONLY 0x40

/**
 * struct ghvm_tag - description of guarded pages
 * @vmid: the VM that they are for
 * @kind: enum ghvm_tag_kind
 * @flags: GHVM_TAG_*
 * @label: of the parcel, unique in the VM
 * @handle: RM's handle of the parcel; GHVM_PARCEL_NONE: unknown
 * @after: the real handle, if there is one, is newer than this one; GHVM_PARCEL_NONE: no bound
 * @incarnation: number of this run of the VM
 * @ipa: guest address; whole pages
 * @name: name of the VM
 * @with: VMID of the second guest that the pages are for; 0: there is none
 */
struct ghvm_tag {
	struct ghvm_vmid vmid;
	uint8_t kind;
	uint8_t flags;
	uint32_t label;
	struct ghvm_parcel_handle handle;
	struct ghvm_parcel_handle after;
	uint64_t incarnation;
	uint64_t ipa;
	char name[GHVM_NAME_SIZE];
	struct ghvm_vmid with;
};

void ghvm_tag_encode(const struct ghvm_tag *tag, uint8_t ret[GHVM_TAG_BYTES]);

/**
 * ghvm_tag_decode() - decode and verify a tag
 * @tag: not trusted: possibly torn, forged, or never written
 * @ret: untouched on failure
 *
 * Return: 0; -EBADMSG: the owner is unknown and the pages stay guarded for ever.
 */
int ghvm_tag_decode(const uint8_t tag[GHVM_TAG_BYTES], struct ghvm_tag *ret);
