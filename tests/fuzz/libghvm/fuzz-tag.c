/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tags of ownerless pins, as found; and tags that were encoded are decoded again. */
#include "libghvm/memory/tag.h"
#include "libghvm/base/wire.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#define PAGE_BITS 12

/* Of the first version, which says nothing that is sure, of the second, or of the third, for two guests. */
static void check_whole(const struct ghvm_tag *t, const uint8_t raw[GHVM_TAG_BYTES])
{
	PROMISE(memchr(t->name, '\0', sizeof(t->name)));
	PROMISE(raw[2] > 1 || !(t->flags & GHVM_TAG_SURE));
	PROMISE((raw[2] == 3) == (t->with.id != 0));
	PROMISE(!t->with.id || (t->kind == GHVM_TAG_SHARED && t->with.id != t->vmid.id));
	PROMISE(raw[2] > 1 || t->handle.id == UINT32_MAX || t->after.id == UINT32_MAX);
}

static void check_raw(const uint8_t *data, size_t size)
{
	uint8_t raw[GHVM_TAG_BYTES] = {};
	struct ghvm_tag t = { .label = 77 };

	memcpy(raw, data, size < sizeof(raw) ? size : sizeof(raw));
	if (ghvm_tag_decode(raw, &t) < 0)
		PROMISE(t.label == 77); /* untouched */
	else
		check_whole(&t, raw);
}

static void check_same(const struct ghvm_tag *t)
{
	uint8_t raw[GHVM_TAG_BYTES];
	struct ghvm_tag back;
	int r;

	ghvm_tag_encode(t, raw);
	r = ghvm_tag_decode(raw, &back);
	if ((t->kind != GHVM_TAG_LENT && t->kind != GHVM_TAG_SHARED) ||
	    (t->with.id && t->with.id == t->vmid.id)) {
		PROMISE(r == -EBADMSG);
		return;
	}
	PROMISE(r == 0 && !strcmp(back.name, t->name));
	PROMISE(back.vmid.id == t->vmid.id && back.handle.id == t->handle.id);
	PROMISE(back.after.id == t->after.id && back.with.id == t->with.id);
	PROMISE(back.label == t->label && back.flags == t->flags && back.kind == t->kind);
	PROMISE(back.incarnation == t->incarnation && back.ipa == t->ipa);
	for (size_t bit = 0; bit < 8 * sizeof(raw); bit += 37) { /* no bit may tip unseen */
		raw[bit / 8] ^= (uint8_t)(1U << bit % 8);
		PROMISE(ghvm_tag_decode(raw, &back) == -EBADMSG);
		raw[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ghvm_get g = { .buf = data, .len = size };
	struct ghvm_tag t = {};

	check_raw(data, size);
	t.vmid.id = ghvm_get_u16(&g);
	t.kind = ghvm_get_u8(&g);
	t.flags = ghvm_get_u8(&g);
	t.label = ghvm_get_u32(&g);
	t.handle.id = ghvm_get_u32(&g);
	t.after.id = ghvm_get_u32(&g);
	t.incarnation = ghvm_get_u64(&g);
	t.ipa = (uint64_t)ghvm_get_u32(&g) << PAGE_BITS;
	t.with.id = ghvm_get_u16(&g);
	if (t.with.id)
		t.kind = GHVM_TAG_SHARED;
	memcpy(t.name, g.buf, g.len < sizeof(t.name) - 1 ? g.len : sizeof(t.name) - 1);
	check_same(&t);
	return 0;
}
