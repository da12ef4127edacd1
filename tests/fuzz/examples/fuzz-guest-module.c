/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RM's packets to the guest's module: an input is a row of { u8 length, that many bytes }. */
#include "examples/guest-module/region_msg.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define VMID 128

/* @buf: in a block of its size, so that an overread is seen */
static void decode(const uint8_t *buf, size_t len)
{
	struct region_offer o = {};
	u32 word;

	if (region_offer_decode(buf, len, VMID, &o) == 0) {
		PROMISE(o.size && o.size % REGION_PAGE == 0);
		PROMISE(o.ipa && o.ipa % REGION_PAGE == 0);
		PROMISE(o.size <= (1ULL << 48) - o.ipa);
	}
	if (region_recall_decode(buf, len, &word) == 0)
		PROMISE(len == 8);
	if (region_reply_decode(buf, len, &word) == 0)
		PROMISE(len >= 4);
}

static void feed(struct region_msg *m, const uint8_t *packet, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	int r;

	PROMISE(copy);
	memcpy(copy, packet, n);
	r = region_msg_add(m, copy, n);
	free(copy);
	PROMISE(m->len <= sizeof(m->buf));
	PROMISE(r < 0 ? !m->left && !m->len : r == !m->left);
	if (r <= 0)
		return;
	copy = malloc(m->len ? m->len : 1);
	PROMISE(copy);
	memcpy(copy, m->buf, m->len);
	decode(copy, m->len);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct region_msg *m = calloc(1, sizeof(*m));

	PROMISE(m);
	while (size) {
		size_t n = *data++;

		size--;
		if (n > size)
			n = size;
		feed(m, data, n);
		data += n;
		size -= n;
	}
	free(m);
	return 0;
}
