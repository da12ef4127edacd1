/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which device gets an access, and that no device gets one that is not wholly its own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/runner/devices/mmio.h"

struct seen {
	unsigned int n;
	uint64_t offset;
	unsigned int size;
	uint64_t value;
};

static uint64_t on_read(void *data, uint64_t offset, unsigned int size)
{
	struct seen *s = data;

	s->n++;
	s->offset = offset;
	s->size = size;
	return 0x8877665544332211;
}

static void on_write(void *data, uint64_t offset, unsigned int size, uint64_t value)
{
	struct seen *s = data;

	s->n++;
	s->offset = offset;
	s->size = size;
	s->value = value;
}

static int add(struct mmio_table *t, uint64_t first, uint64_t last, struct seen *s)
{
	const struct mmio_device d = { first, last, on_read, on_write, s };

	return mmio_add(t, &d);
}

static void refuses_what_overlaps(void **state)
{
	struct mmio_table t = {};
	struct seen s = {};

	assert_int_equal(add(&t, 0x2000, 0x2fff, &s), 0);
	assert_int_equal(add(&t, 0x1000, 0x1fff, &s), 0);
	assert_int_equal(add(&t, 0x3000, 0x3fff, &s), 0);
	assert_int_equal(add(&t, 0x2800, 0x28ff, &s), -EEXIST);
	assert_int_equal(add(&t, 0x0, 0x1000, &s), -EEXIST);
	assert_int_equal(add(&t, 0x3fff, 0x4fff, &s), -EEXIST);
	assert_int_equal(add(&t, 0x0, UINT64_MAX, &s), -EEXIST);
	assert_int_equal(add(&t, 0x5001, 0x5000, &s), -EINVAL);
	assert_int_equal(t.n, 3);
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(t.devices[i].first, 0x1000 * (i + 1));
}

static void refuses_one_too_many(void **state)
{
	struct mmio_table t = {};
	struct seen s = {};

	for (uint64_t i = 0; i < MMIO_DEVICES_MAX; i++)
		assert_int_equal(add(&t, i * 0x1000, i * 0x1000 + 0xfff, &s), 0);
	assert_int_equal(add(&t, 0x100000, 0x100fff, &s), -ENOSPC);
}

static void finds_the_device_and_masks_by_size(void **state)
{
	static const struct {
		uint64_t size, value;
	} cases[] = { { 1, 0x11 }, { 2, 0x2211 }, { 4, 0x44332211 }, { 8, 0x8877665544332211 } };
	struct mmio_table t = {};
	struct seen a = {}, b = {};
	uint64_t v;

	assert_int_equal(add(&t, 0x1000, 0x1fff, &a), 0);
	assert_int_equal(add(&t, 0x2000, 0x2fff, &b), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_true(mmio_read(&t, 0x2010, cases[i].size, &v));
		assert_int_equal(v, cases[i].value);
		assert_int_equal(b.offset, 0x10);
		assert_int_equal(b.size, cases[i].size);
		assert_true(mmio_write(&t, 0x1fff - cases[i].size + 1, cases[i].size, UINT64_MAX));
		assert_int_equal(a.offset, 0x1000 - cases[i].size);
		assert_int_equal(a.value, UINT64_MAX >> (64 - 8 * cases[i].size));
	}
	assert_int_equal(a.n, 4);
	assert_int_equal(b.n, 4);
	assert_int_equal(t.strays, 0);
}

static void strays_meet_nobody(void **state)
{
	static const struct {
		uint64_t ipa, size, value;
	} cases[] = {
		{ 0xfff, 1, 0xff },
		{ 0x2000, 2, 0xffff },
		{ 0x1ffd, 4, 0xffffffff }, /* half out of it */
		{ 0xffd, 8, UINT64_MAX },  /* half in it */
		{ 0x1000, 0, UINT64_MAX },
		{ 0x1000, 3, UINT64_MAX },
		{ 0x1000, 16, UINT64_MAX },
		{ 0x1000, UINT64_MAX, UINT64_MAX },
		{ UINT64_MAX, 8, UINT64_MAX },
		{ UINT64_MAX, 1, 0xff },
	};
	struct mmio_table t = {};
	struct seen s = {};
	uint64_t v;

	assert_int_equal(add(&t, 0x1000, 0x1fff, &s), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = 0;
		assert_false(mmio_read(&t, cases[i].ipa, cases[i].size, &v));
		assert_int_equal(v, cases[i].value);
		assert_false(mmio_write(&t, cases[i].ipa, cases[i].size, 0));
		assert_int_equal(t.strays, 2 * (i + 1));
	}
	assert_int_equal(s.n, 0);
}

static void a_device_may_end_at_the_top(void **state)
{
	struct mmio_table t = {};
	struct seen s = {};
	uint64_t v;

	assert_int_equal(add(&t, UINT64_MAX - 0xfff, UINT64_MAX, &s), 0);
	assert_true(mmio_read(&t, UINT64_MAX - 7, 8, &v));
	assert_int_equal(s.offset, 0xff8);
	assert_false(mmio_read(&t, UINT64_MAX - 6, 8, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_overlaps),
		cmocka_unit_test(refuses_one_too_many),
		cmocka_unit_test(finds_the_device_and_masks_by_size),
		cmocka_unit_test(strays_meet_nobody),
		cmocka_unit_test(a_device_may_end_at_the_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
