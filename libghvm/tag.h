/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guarded pin says about itself, so that whoever finds it after our death can give
 * its pages back.
 *
 * 64 bytes, little-endian: u16 magic, u16 version, u32 crc32 (of all, itself as 0), u16 vmid, u8
 * kind, u8 flags, u32 label, u32 handle, u32 after, u64 incarnation, u32 page of ipa, name[28].
 *
 * Version 1, which earlier managers wrote, is read as well: it had u64 ipa instead of u32 after and
 * u32 page, and where flag 1 was set its handle was what is in after now. It knew of nothing that
 * is SURE.
 */
#pragma once

#include "libghvm/types.h"

#include <stdbool.h>
#include <stdint.h>

#define GHVM_TAG_BYTES 64 /* as the module keeps them: GHVM_TAG_SIZE */

enum ghvm_tag_kind {
	GHVM_TAG_LENT = 1,
	GHVM_TAG_SHARED = 2,
};

#define GHVM_TAG_READONLY 0x2

/*
 * A transaction that is under way adds it, or removes it. As long as the one region that is
 * UNDECIDED says so all of that is to be undone, and from then on to be finished.
 */
#define GHVM_TAG_COMING 0x4
#define GHVM_TAG_GOING 0x8
#define GHVM_TAG_UNDECIDED 0x10
#define GHVM_TAG_CHANGE (GHVM_TAG_COMING | GHVM_TAG_GOING | GHVM_TAG_UNDECIDED)

/*
 * RM has shown that it has this parcel under @handle. Without it there was one reply that said so,
 * which nothing else has borne out: that RM knows no such handle proves nothing then.
 */
#define GHVM_TAG_SURE 0x20

/**
 * struct ghvm_tag - whose pages these are
 * @vmid: the VM that they were promised to
 * @kind: enum ghvm_tag_kind
 * @flags: GHVM_TAG_*
 * @label: of the parcel, unique in the VM
 * @handle: RM's name for the parcel; GHVM_PARCEL_NONE: not known
 * @after: RM gave out the parcel's real handle, if it has one, later than this one;
 *     GHVM_PARCEL_NONE: at any time
 * @incarnation: which run of the VM
 * @ipa: where the guest has them; whole pages
 * @name: of the VM
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
};

void ghvm_tag_encode(const struct ghvm_tag *tag, uint8_t ret[GHVM_TAG_BYTES]);

/**
 * ghvm_tag_decode() - what a tag says, if it is whole
 * @tag: as the module kept it: possibly torn, forged, or never written
 * @ret: untouched on failure
 *
 * Return: 0; -EBADMSG: the pages stay guarded for ever, since nobody knows whose they are.
 */
int ghvm_tag_decode(const uint8_t tag[GHVM_TAG_BYTES], struct ghvm_tag *ret);
