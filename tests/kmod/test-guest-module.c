// SPDX-License-Identifier: GPL-2.0-or-later
/* What the guest's module of examples/guest-module makes of RM's messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "examples/guest-module/region_msg.h"

#include <stdlib.h>
#include <string.h>

#define VMID 128

/* MEM_SHARED: handle 7, label 20, tag 0x60000; VM 128 may read and write, VM 129 only read; 8 KiB and 4 KiB. */
static const u8 offer[] = {
	7,   0, 0, 0, 0, 2, 0, 0, 3, 0,	 0, 0, 20, 0, 0, 0, 0, 0,  6, 0, 2, 0, 0, 0, 128, 0, 6, 0,
	129, 0, 4, 0, 2, 0, 0, 0, 0, 32, 0, 0, 0,  0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0,	  0, 0, 0,
};

static int decode(const u8 *buf, size_t len, u16 vmid, struct region_offer *ret)
{
	u8 *copy = malloc(len ? len : 1); /* of its size: an overread is seen */
	int r;

	assert_non_null(copy);
	memcpy(copy, buf, len);
	r = region_offer_decode(copy, len, vmid, ret);
	free(copy);
	return r;
}

static void an_offer_is_decoded(void **state)
{
	struct region_offer o;

	assert_int_equal(decode(offer, sizeof(offer), VMID, &o), 0);
	assert_int_equal(o.handle, 7);
	assert_int_equal(o.label, 20);
	assert_int_equal(o.ipa, 0x60000000);
	assert_int_equal(o.size, 12288);
	assert_false(o.readonly);
	assert_int_equal(decode(offer, sizeof(offer), VMID + 1, &o), 0);
	assert_true(o.readonly);
	assert_int_equal(decode(offer, sizeof(offer), VMID + 2, &o), -EACCES);
}

static void every_short_offer_is_refused(void **state)
{
	struct region_offer o = { .handle = 99 };
	u8 longer[sizeof(offer) + 1] = {};

	for (size_t n = 0; n < sizeof(offer); n++)
		assert_int_equal(decode(offer, n, VMID, &o), -EPROTO);
	memcpy(longer, offer, sizeof(offer));
	assert_int_equal(decode(longer, sizeof(longer), VMID, &o), -EPROTO);
	assert_int_equal(o.handle, 99); /* untouched on failure */
}

static void hostile_offers_are_refused(void **state)
{
	static const struct {
		size_t at;
		u8 value;
		int r;
	} lies[] = {
		{ 4, 1, -EOPNOTSUPP }, /* device memory */
		{ 5, 1, -EOPNOTSUPP }, /* lent */
		{ 5, 0, -EOPNOTSUPP }, /* donated */
		{ 26, 2, -EACCES },    /* write only */
		{ 21, 255, -EPROTO },  /* 65,282 entries in the access list */
		{ 33, 255, -EPROTO },  /* as many sizes */
		{ 36, 1, -EPROTO },    /* no whole page */
		{ 37, 0, -EPROTO },    /* empty */
		{ 43, 255, -EPROTO },  /* more than the address space */
		{ 42, 1, -EPROTO },    /* which the sum is */
		{ 52, 1, -EPROTO },    /* an attribute that is not there */
	};
	struct region_offer o;
	u8 buf[sizeof(offer)];

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		memcpy(buf, offer, sizeof(buf));
		buf[lies[i].at] = lies[i].value;
		assert_int_equal(decode(buf, sizeof(buf), VMID, &o), lies[i].r);
	}
	memcpy(buf, offer, sizeof(buf));
	memset(buf + 16, 0, 4); /* page 0 */
	assert_int_equal(decode(buf, sizeof(buf), VMID, &o), -ERANGE);
	memcpy(buf, offer, sizeof(buf));
	buf[41] = 255; /* a size that fits, and ends behind the address space with the address */
	assert_int_equal(decode(buf, sizeof(buf), VMID, &o), 0);
	buf[36 + 5] = 255;
	memset(buf + 37, 0xf0, 4);
	memset(buf + 16, 0xff, 4);
	assert_int_equal(decode(buf, sizeof(buf), VMID, &o), -ERANGE);
}

static int add(struct region_msg *m, u8 kind, u16 seq, u32 id, size_t len)
{
	u8 packet[REGION_PACKET_MAX + 1] = { REGION_HEADER_BYTE, kind, (u8)seq, (u8)(seq >> 8) };

	memcpy(packet + 4, &id, 4);
	memset(packet + REGION_HEADER, (int)seq, sizeof(packet) - REGION_HEADER);
	return region_msg_add(m, packet, len);
}

static void packets_are_joined(void **state)
{
	static struct region_msg m;

	assert_int_equal(add(&m, REGION_MSG_REPLY, 5, 9, 12), 1);
	assert_int_equal(m.len, 4);
	assert_int_equal(m.type, REGION_MSG_REPLY);
	assert_int_equal(add(&m, REGION_MSG_NOTIFICATION | 2 << 2, 6, 9, 240), 0);
	assert_int_equal(add(&m, 2 << 2, 6, 9, 240), 0);
	assert_int_equal(add(&m, 2 << 2, 6, 9, 8), 1);
	assert_int_equal(m.len, 2 * 232);
	assert_int_equal(m.buf[463], 6);
	/* the longest one */
	assert_int_equal(add(&m, REGION_MSG_NOTIFICATION | 62 << 2, 6, 9, 240), 0);
	for (int i = 0; i < 61; i++)
		assert_int_equal(add(&m, 62 << 2, 6, 9, 240), 0);
	assert_int_equal(add(&m, 62 << 2, 6, 9, 240), 1);
	assert_int_equal(m.len, sizeof(m.buf));
}

static void packets_that_do_not_fit_are_dropped(void **state)
{
	static const struct {
		u8 kind;
		u16 seq;
		u32 id;
		size_t len;
	} bad[] = {
		{ 1 << 2, 7, 9, 12 }, /* another sequence number */
		{ 1 << 2, 6, 8, 12 }, /* another message */
		{ 2 << 2, 6, 9, 12 }, /* another number of packets */
		{ 1 << 2, 6, 9, 7 },  /* no header */
		{ 1 << 2, 6, 9, 241 }, { REGION_MSG_REPLY | 63 << 2, 6, 9, 12 },
	};
	static struct region_msg m;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(add(&m, REGION_MSG_REPLY | 1 << 2, 6, 9, 12), 0);
		assert_int_equal(add(&m, bad[i].kind, bad[i].seq, bad[i].id, bad[i].len), -EPROTO);
		assert_int_equal(add(&m, 1 << 2, 6, 9, 12),
				 -EPROTO); /* its message is dropped, too */
	}
	assert_int_equal(add(&m, 0, 6, 9, 12), -EPROTO); /* none was begun */
	assert_int_equal(region_msg_add(&m, (const u8[8]){ 0x22, 2 }, 8), -EPROTO);
}

static void recalls_and_replies_are_decoded(void **state)
{
	static const u8 buf[12] = { 7, 0, 0, 0, 9, 1, 0, 0 };
	u32 first = 0;

	assert_int_equal(region_recall_decode(buf, 8, &first), 0);
	assert_int_equal(first, 7);
	assert_int_equal(region_recall_decode(buf, 7, &first), -EPROTO);
	assert_int_equal(region_recall_decode(buf, 9, &first), -EPROTO);
	assert_int_equal(region_reply_decode(buf + 4, 8, &first), 0);
	assert_int_equal(first, 0x109);
	assert_int_equal(region_reply_decode(buf + 4, 4, &first), 0);
	assert_int_equal(region_reply_decode(buf, 3, &first), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_offer_is_decoded),
		cmocka_unit_test(every_short_offer_is_refused),
		cmocka_unit_test(hostile_offers_are_refused),
		cmocka_unit_test(packets_are_joined),
		cmocka_unit_test(packets_that_do_not_fit_are_dropped),
		cmocka_unit_test(recalls_and_replies_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
