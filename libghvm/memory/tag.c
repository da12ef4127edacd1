/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encodes and decodes the tag of a guarded pin: 64 bytes with a checksum.
 */
#include "libghvm/memory/tag.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define TAG_MAGIC 0x4847 /* "GH" */
#define TAG_VERSION 3
#define TAG_VERSION_ALONE 2 /* without a second guest */
#define TAG_VERSION_FIRST 1
#define TAG_FIRST_AFTER 0x1 /* flag of version 1: its handle means "after" */
#define TAG_CRC_AT 4

#define CRC32_POLYNOMIAL 0xedb88320U /* IEEE 802.3, reflected */

/* Bitwise: a tag is written a handful of times in the life of a VM. */
/*@
  requires \valid_read(p + (0 .. n - 1));
  assigns \nothing;
*/
static uint32_t crc32(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	/*@
	  loop invariant 0 <= i <= n;
	  loop assigns i, crc;
	  loop variant n - i;
	*/
	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		/*@
		  loop invariant 0 <= bit <= 8;
		  loop assigns bit, crc;
		  loop variant 8 - bit;
		*/
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ CRC32_POLYNOMIAL : crc >> 1;
	}
	return ~crc;
}

/*@
  requires \valid_read(tag + (0 .. GHVM_TAG_BYTES - 1));
  assigns \nothing;
*/
static uint32_t tag_crc(const uint8_t tag[GHVM_TAG_BYTES])
{
	uint8_t copy[GHVM_TAG_BYTES];

	memcpy(copy, tag, sizeof(copy));
	memset(copy + TAG_CRC_AT, 0, sizeof(uint32_t));
	return crc32(copy, sizeof(copy));
}

/*@
  predicate tag_source(struct ghvm_put *w, struct ghvm_tag *t) =
    put_valid(w) && \valid_read(t) && \separated(t, w, w->buf + (0 .. w->cap - 1));
*/

/* From magic to flags. */
/*@
  requires tag_source(w, tag);
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures tag_source(w, tag) && put_all{Pre, Post}(w, 12);
*/
static void put_head(struct ghvm_put *w, const struct ghvm_tag *tag)
{
	const bool alone = !tag->with.id;

	ghvm_put_u16(w, TAG_MAGIC);
	ghvm_put_u16(w, alone ? TAG_VERSION_ALONE : TAG_VERSION);
	ghvm_put_u32(w, 0);
	ghvm_put_u16(w, tag->vmid.id);
	if (alone) {
		ghvm_put_u8(w, tag->kind);
		ghvm_put_u8(w, tag->flags);
	} else {
		ghvm_put_u16(w, tag->with.id);
	}
}

/*@
  requires tag_source(w, tag);
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures tag_source(w, tag) && put_all{Pre, Post}(w, 24);
*/
static void put_parcel(struct ghvm_put *w, const struct ghvm_tag *tag)
{
	ghvm_put_u32(w, tag->label);
	ghvm_put_u32(w, tag->handle.id);
	ghvm_put_u32(w, tag->after.id);
	ghvm_put_u64(w, tag->incarnation);
	ghvm_put_u32(w, (uint32_t)(tag->ipa / GHVM_PAGE)); /* up to 16 TiB */
}

/*@
  requires tag_source(w, tag) && valid_read_nstring((char *)tag->name, GHVM_NAME_SIZE - 1);
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures tag_source(w, tag) && put_all{Pre, Post}(w, GHVM_NAME_SIZE);
*/
static void put_name(struct ghvm_put *w, const struct ghvm_tag *tag)
{
	const size_t len = strnlen(tag->name, GHVM_NAME_SIZE - 1);

	ghvm_put_bytes(w, tag->name, len);
	ghvm_put_zero(w, GHVM_NAME_SIZE - 1 - len);
	ghvm_put_u8(w, tag->with.id ? tag->flags : 0);
}

/* That the parts are as long as a tag is proved, too: as the condition of assert(). */
/*@
  requires \valid_read(tag) && \valid(ret + (0 .. GHVM_TAG_BYTES - 1));
  requires valid_read_nstring((char *)tag->name, GHVM_NAME_SIZE - 1);
  requires \separated(tag, ret + (0 .. GHVM_TAG_BYTES - 1));
  assigns ret[0 .. GHVM_TAG_BYTES - 1];
*/
void ghvm_tag_encode(const struct ghvm_tag *tag, uint8_t ret[GHVM_TAG_BYTES])
{
	struct ghvm_put w = { .buf = ret, .cap = GHVM_TAG_BYTES };
	struct ghvm_put crc = { .buf = ret + TAG_CRC_AT, .cap = sizeof(uint32_t) };

	put_head(&w, tag);
	put_parcel(&w, tag);
	put_name(&w, tag);
	assert(!w.bad && w.len == GHVM_TAG_BYTES);

	ghvm_put_u32(&crc, tag_crc(ret));
}

/*@
  predicate tag_apart(struct ghvm_get *g, struct ghvm_tag *t) =
    get_valid(g) && \valid(t) && \separated(t, g, g->buf + (0 .. g->len - 1));

  // n bytes have been read in some steps, unless one of these was too long
  predicate tag_read{A, B}(struct ghvm_get *g, integer n) =
    (!\at(g->bad, B) ==> !\at(g->bad, A) && \at(g->len, B) == \at(g->len, A) - n) &&
    get_rest{A, B}(g);
*/

/*@
  requires tag_apart(g, t);
  assigns g->len, g->bad, g->buf, t->with, t->kind, t->flags;
  ensures tag_apart(g, t) && tag_read{Pre, Post}(g, 2);
  ensures version == TAG_VERSION ==> t->kind == GHVM_TAG_SHARED;
  ensures version != TAG_VERSION ==> t->with.id == \old(t->with.id);
*/
static void get_kind(struct ghvm_get *g, uint16_t version, struct ghvm_tag *t)
{
	if (version == TAG_VERSION) {
		t->with.id = ghvm_get_u16(g);
		t->kind = GHVM_TAG_SHARED;
		return;
	}
	t->kind = ghvm_get_u8(g);
	t->flags = ghvm_get_u8(g);
}

/* Version 1 has one handle; a flag of it says that the handle is "after". */
/*@
  requires tag_apart(g, t);
  assigns g->len, g->bad, g->buf, t->handle, t->after, t->flags;
  ensures tag_apart(g, t) && tag_read{Pre, Post}(g, 4);
  ensures !(t->flags & GHVM_TAG_SURE);
  ensures t->handle.id == GHVM_PARCEL_NONE || t->after.id == GHVM_PARCEL_NONE;
*/
static void get_handle_first(struct ghvm_get *g, struct ghvm_tag *t)
{
	const struct ghvm_parcel_handle named = { ghvm_get_u32(g) }, none = { GHVM_PARCEL_NONE };
	const bool after = t->flags & TAG_FIRST_AFTER;

	t->handle = after ? none : named;
	t->after = after ? named : none;
	t->flags &= (uint8_t) ~(TAG_FIRST_AFTER | GHVM_TAG_SURE);
}

/*@
  requires tag_apart(g, t);
  assigns g->len, g->bad, g->buf, t->handle, t->after;
  ensures tag_apart(g, t) && tag_read{Pre, Post}(g, 8);
*/
static void get_handles(struct ghvm_get *g, struct ghvm_tag *t)
{
	t->handle.id = ghvm_get_u32(g);
	t->after.id = ghvm_get_u32(g);
}

/*@
  requires get_valid(g);
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g) && tag_read{Pre, Post}(g, version == TAG_VERSION_FIRST ? 8 : 4);
*/
static uint64_t get_address(struct ghvm_get *g, uint16_t version)
{
	if (version == TAG_VERSION_FIRST)
		return ghvm_get_u64(g);
	return (uint64_t)ghvm_get_u32(g) * GHVM_PAGE;
}

/*@
  requires tag_apart(g, t);
  assigns g->len, g->bad, g->buf, t->name[0 .. GHVM_NAME_SIZE - 1], t->flags;
  ensures tag_apart(g, t) && tag_read{Pre, Post}(g, GHVM_NAME_SIZE);
*/
static void get_name(struct ghvm_get *g, uint16_t version, struct ghvm_tag *t)
{
	if (version != TAG_VERSION) {
		ghvm_get_bytes(g, t->name, sizeof(t->name));
		return;
	}
	ghvm_get_bytes(g, t->name, sizeof(t->name) - 1);
	t->flags = ghvm_get_u8(g);
}

/* From vmid to label. */
/*@
  requires tag_apart(g, t);
  assigns g->len, g->bad, g->buf, t->vmid, t->with, t->kind, t->flags, t->label;
  ensures tag_apart(g, t) && tag_read{Pre, Post}(g, 8);
*/
static void get_owner(struct ghvm_get *g, uint16_t version, struct ghvm_tag *t)
{
	t->vmid.id = ghvm_get_u16(g);
	get_kind(g, version, t);
	t->label = ghvm_get_u32(g);
}

/* From handle to ipa. */
/*@
  requires tag_apart(g, t);
  assigns g->len, g->bad, g->buf, t->handle, t->after, t->flags, t->incarnation, t->ipa;
  ensures tag_apart(g, t) && tag_read{Pre, Post}(g, 20);
*/
static void get_parcel(struct ghvm_get *g, uint16_t version, struct ghvm_tag *t)
{
	if (version == TAG_VERSION_FIRST)
		get_handle_first(g, t);
	else
		get_handles(g, t);
	t->incarnation = ghvm_get_u64(g);
	t->ipa = get_address(g, version);
}

/*@
  requires \valid_read(t);
  assigns \nothing;
  ensures \result <==> t->name[GHVM_NAME_SIZE - 1] == 0 && (t->kind == GHVM_TAG_LENT || t->kind == GHVM_TAG_SHARED) &&
    (version == TAG_VERSION ==> t->with.id != 0 && t->with.id != t->vmid.id);
*/
static bool is_sane(uint16_t version, const struct ghvm_tag *t)
{
	if (t->name[GHVM_NAME_SIZE - 1])
		return false;
	if (version == TAG_VERSION && (!t->with.id || t->with.id == t->vmid.id))
		return false;
	return t->kind == GHVM_TAG_LENT || t->kind == GHVM_TAG_SHARED;
}

/*@
  requires \valid_read(tag + (0 .. GHVM_TAG_BYTES - 1)) && \valid(ret);
  requires \separated(ret, tag + (0 .. GHVM_TAG_BYTES - 1));
  assigns *ret;
  ensures \result == 0 || \result == -EBADMSG;
  ensures \result < 0 ==> ret->vmid.id == \old(ret->vmid.id) && ret->handle.id == \old(ret->handle.id);
*/
int ghvm_tag_decode(const uint8_t tag[GHVM_TAG_BYTES], struct ghvm_tag *ret)
{
	struct ghvm_get g = { .buf = tag, .len = GHVM_TAG_BYTES };
	struct ghvm_tag t = {};
	bool magic = ghvm_get_u16(&g) == TAG_MAGIC;
	uint16_t version = ghvm_get_u16(&g);
	bool known = magic && version >= TAG_VERSION_FIRST && version <= TAG_VERSION;

	if (!known || ghvm_get_u32(&g) != tag_crc(tag))
		return -EBADMSG;
	get_owner(&g, version, &t);
	get_parcel(&g, version, &t);
	get_name(&g, version, &t);
	if (ghvm_get_end(&g) < 0 || !is_sane(version, &t))
		return -EBADMSG;

	*ret = t;
	return 0;
}
