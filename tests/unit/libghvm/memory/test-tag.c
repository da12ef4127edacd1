/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tags of guarded pins: golden bytes, and that no damage goes unseen.
 */
#include "libghvm/memory/tag.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static const struct ghvm_tag demo = {
	.vmid = { 0x81 },
	.kind = GHVM_TAG_LENT,
	.flags = GHVM_TAG_SURE,
	.label = 0x11223344,
	.handle = { 0x55667788 },
	.after = { 0x55667700 },
	.incarnation = 0x0102030405060708,
	.ipa = 0x80000000,
	.name = "demo",
};

/* The checksum was computed by another implementation (zlib's). */
static const uint8_t golden[GHVM_TAG_BYTES] = {
	0x47, 0x48, 0x02, 0x00, 0xf2, 0xdd, 0x81, 0x2e, 0x81, 0x00, 0x01, 0x20, 0x44, 0x33,
	0x22, 0x11, 0x88, 0x77, 0x66, 0x55, 0x00, 0x77, 0x66, 0x55, 0x08, 0x07, 0x06, 0x05,
	0x04, 0x03, 0x02, 0x01, 0x00, 0x00, 0x08, 0x00, 'd',  'e',  'm',  'o',
};

/* As earlier managers wrote them; flags 1 (the handle is an older one's), and 0x22. */
static const uint8_t golden_first_after[GHVM_TAG_BYTES] = {
	0x47, 0x48, 0x01, 0x00, 0xf3, 0x78, 0x2c, 0x92, 0x81, 0x00, 0x01, 0x01, 0x44, 0x33,
	0x22, 0x11, 0x88, 0x77, 0x66, 0x55, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,
	0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 'd',  'e',  'm',  'o',
};
static const uint8_t golden_first[GHVM_TAG_BYTES] = {
	0x47, 0x48, 0x01, 0x00, 0x59, 0x94, 0xaa, 0xca, 0x81, 0x00, 0x01, 0x22, 0x44, 0x33,
	0x22, 0x11, 0x88, 0x77, 0x66, 0x55, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,
	0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 'd',  'e',  'm',  'o',
};

/* Pages of two guests. */
static const struct ghvm_tag pair = {
	.vmid = { 0x81 },
	.kind = GHVM_TAG_SHARED,
	.flags = GHVM_TAG_SURE | GHVM_TAG_WITH_READONLY,
	.label = 0x11223344,
	.handle = { 0x55667788 },
	.after = { 0x55667700 },
	.incarnation = 0x0102030405060708,
	.ipa = 0x80000000,
	.name = "demo",
	.with = { 0x82 },
};
static const uint8_t golden_pair[GHVM_TAG_BYTES] = {
	0x47, 0x48, 0x03, 0x00, 0x69, 0x41, 0xfd, 0xde, 0x81, 0x00, 0x82, 0x00, 0x44,	     0x33,
	0x22, 0x11, 0x88, 0x77, 0x66, 0x55, 0x00, 0x77, 0x66, 0x55, 0x08, 0x07, 0x06,	     0x05,
	0x04, 0x03, 0x02, 0x01, 0x00, 0x00, 0x08, 0x00, 'd',  'e',  'm',  'o',	[63] = 0x60,
};

static void names_a_second_guest(void **state)
{
	uint8_t tag[GHVM_TAG_BYTES];
	struct ghvm_tag t;

	memset(tag, 0xff, sizeof(tag));
	ghvm_tag_encode(&pair, tag);
	assert_memory_equal(tag, golden_pair, sizeof(golden_pair));
	assert_int_equal(ghvm_tag_decode(golden_pair, &t), 0);
	assert_int_equal(t.vmid.id, 0x81);
	assert_int_equal(t.with.id, 0x82);
	assert_int_equal(t.kind, GHVM_TAG_SHARED);
	assert_int_equal(t.flags, pair.flags);
	assert_int_equal(t.label, 0x11223344);
	assert_int_equal(t.handle.id, 0x55667788);
	assert_int_equal(t.after.id, 0x55667700);
	assert_int_equal(t.incarnation, 0x0102030405060708);
	assert_int_equal(t.ipa, 0x80000000);
	assert_string_equal(t.name, "demo");
	assert_int_equal(ghvm_tag_decode(golden, &t), 0);
	assert_int_equal(t.with.id, 0);
}

static void refuses_a_guest_with_itself(void **state)
{
	struct ghvm_tag in = pair, out;
	uint8_t tag[GHVM_TAG_BYTES];

	in.with = in.vmid;
	ghvm_tag_encode(&in, tag);
	assert_int_equal(ghvm_tag_decode(tag, &out), -EBADMSG);
}

static void encodes_to_golden_bytes(void **state)
{
	uint8_t tag[GHVM_TAG_BYTES];

	memset(tag, 0xff, sizeof(tag));
	ghvm_tag_encode(&demo, tag);
	assert_memory_equal(tag, golden, sizeof(golden));
}

static void decodes_golden_bytes(void **state)
{
	struct ghvm_tag t;

	assert_int_equal(ghvm_tag_decode(golden, &t), 0);
	assert_int_equal(t.vmid.id, 0x81);
	assert_int_equal(t.kind, GHVM_TAG_LENT);
	assert_int_equal(t.flags, GHVM_TAG_SURE);
	assert_int_equal(t.label, 0x11223344);
	assert_int_equal(t.handle.id, 0x55667788);
	assert_int_equal(t.after.id, 0x55667700);
	assert_int_equal(t.incarnation, 0x0102030405060708);
	assert_int_equal(t.ipa, 0x80000000);
	assert_string_equal(t.name, "demo");
}

/* Quarantined across an upgrade: nothing of it is sure, whatever its unused flags say. */
static void decodes_what_earlier_managers_wrote(void **state)
{
	struct ghvm_tag t;

	assert_int_equal(ghvm_tag_decode(golden_first_after, &t), 0);
	assert_int_equal(t.flags, 0);
	assert_int_equal(t.handle.id, GHVM_PARCEL_NONE);
	assert_int_equal(t.after.id, 0x55667788);
	assert_int_equal(t.incarnation, 0x0102030405060708);
	assert_int_equal(t.ipa, 0x80000000);
	assert_string_equal(t.name, "demo");

	assert_int_equal(ghvm_tag_decode(golden_first, &t), 0);
	assert_int_equal(t.flags, GHVM_TAG_READONLY);
	assert_int_equal(t.handle.id, 0x55667788);
	assert_int_equal(t.after.id, GHVM_PARCEL_NONE);
	assert_int_equal(t.ipa, 0x80000000);
}

static void keeps_the_longest_name(void **state)
{
	struct ghvm_tag in = demo, out;
	uint8_t tag[GHVM_TAG_BYTES];

	memset(in.name, 'x', sizeof(in.name) - 1);
	ghvm_tag_encode(&in, tag);
	assert_int_equal(ghvm_tag_decode(tag, &out), 0);
	assert_string_equal(out.name, in.name);
	in.with.id = 0x82;
	in.kind = GHVM_TAG_SHARED;
	in.flags = UINT8_MAX;
	ghvm_tag_encode(&in, tag);
	assert_int_equal(ghvm_tag_decode(tag, &out), 0);
	assert_string_equal(out.name, in.name);
	assert_int_equal(out.flags, UINT8_MAX);
}

static void sees_every_flipped_bit(void **state)
{
	uint8_t tag[GHVM_TAG_BYTES];
	struct ghvm_tag t = { .label = 77 };

	for (size_t bit = 0; bit < sizeof(tag) * 8; bit++) {
		memcpy(tag, golden, sizeof(tag));
		tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(ghvm_tag_decode(tag, &t), -EBADMSG);
	}
	assert_int_equal(t.label, 77); /* untouched on failure */
}

static void refuses_torn_and_blank_tags(void **state)
{
	uint8_t tag[GHVM_TAG_BYTES] = {};
	struct ghvm_tag t;

	assert_int_equal(ghvm_tag_decode(tag, &t), -EBADMSG);
	for (size_t n = 0; n < 40; n++) { /* the rest of it is zero in any case */
		memset(tag, 0, sizeof(tag));
		memcpy(tag, golden, n);
		if (memcmp(tag, golden, sizeof(tag)) != 0)
			assert_int_equal(ghvm_tag_decode(tag, &t), -EBADMSG);
	}
}

/* A right checksum does not make an unknown kind of parcel known. */
static void refuses_unknown_kinds(void **state)
{
	struct ghvm_tag in = demo, out;
	uint8_t tag[GHVM_TAG_BYTES];

	in.kind = 3;
	ghvm_tag_encode(&in, tag);
	assert_int_equal(ghvm_tag_decode(tag, &out), -EBADMSG);
	in.kind = 0;
	ghvm_tag_encode(&in, tag);
	assert_int_equal(ghvm_tag_decode(tag, &out), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_to_golden_bytes),
		cmocka_unit_test(decodes_golden_bytes),
		cmocka_unit_test(names_a_second_guest),
		cmocka_unit_test(refuses_a_guest_with_itself),
		cmocka_unit_test(decodes_what_earlier_managers_wrote),
		cmocka_unit_test(keeps_the_longest_name),
		cmocka_unit_test(sees_every_flipped_bit),
		cmocka_unit_test(refuses_torn_and_blank_tags),
		cmocka_unit_test(refuses_unknown_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
