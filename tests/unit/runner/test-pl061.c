/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PL061: data mask, directions, edges and levels, and what the power key makes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/runner/devices/pl061.h"

#define LINE 3

enum {
	ALL_DATA = 0x3fc,
	DIR = 0x400,
	IS = 0x404,
	IBE = 0x408,
	IEV = 0x40c,
	IE = 0x410,
	RIS = 0x414,
	MIS = 0x418,
	IC = 0x41c,
	AFSEL = 0x420,
};

static unsigned int rings;

static void on_ring(void *data)
{
	rings++;
}

static void set_up(struct pl061 *p)
{
	rings = 0;
	pl061_init(p, on_ring, NULL);
}

static uint64_t get(struct pl061 *p, uint64_t offset)
{
	return pl061_read(p, offset, 4);
}

static void put(struct pl061 *p, uint64_t offset, uint64_t value)
{
	pl061_write(p, offset, 4, value);
}

static void identifies_itself(void **state)
{
	static const uint8_t id[] = { 0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
	struct pl061 p;

	set_up(&p);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(get(&p, 0xfe0 + 4 * i), id[i]);
		put(&p, 0xfe0 + 4 * i, 0xff);
		assert_int_equal(get(&p, 0xfe0 + 4 * i), id[i]);
	}
	pl061_done(&p);
}

static void plain_registers_hold_eight_bits(void **state)
{
	static const uint64_t regs[] = { DIR, IS, IBE, IEV, IE, AFSEL };
	struct pl061 p;

	set_up(&p);
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		assert_int_equal(get(&p, regs[i]), 0);
		put(&p, regs[i], 0xffffffa5);
		assert_int_equal(get(&p, regs[i]), 0xa5);
		put(&p, regs[i], 0);
	}
	pl061_done(&p);
}

static void the_address_masks_the_data(void **state)
{
	struct pl061 p;

	set_up(&p);
	put(&p, DIR, 0xf0);
	put(&p, ALL_DATA, 0xff);
	assert_int_equal(get(&p, ALL_DATA), 0xf0); /* inputs are not written */
	put(&p, 0x40 << 2, 0);
	assert_int_equal(get(&p, ALL_DATA), 0xb0);
	pl061_set(&p, 0, true);
	assert_int_equal(get(&p, ALL_DATA), 0xb1);
	for (unsigned int mask = 0; mask < 256; mask++)
		assert_int_equal(get(&p, mask << 2), 0xb1 & mask);
	put(&p, DIR, 0);
	assert_int_equal(get(&p, ALL_DATA), 0x01);
	pl061_done(&p);
}

static void edges(void **state)
{
	static const struct {
		uint8_t ibe, iev;
		unsigned int down, up; /* rings at press and release */
	} cases[] = { { 0, 0, 0, 1 }, { 0, 8, 1, 0 }, { 8, 0, 1, 1 }, { 8, 8, 1, 1 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pl061 p;

		set_up(&p);
		put(&p, IBE, cases[i].ibe);
		put(&p, IEV, cases[i].iev);
		put(&p, IE, 8);
		pl061_set(&p, LINE, true);
		assert_int_equal(rings, cases[i].down);
		assert_int_equal(get(&p, MIS), cases[i].down ? 8 : 0);
		put(&p, IC, 8);
		assert_int_equal(get(&p, RIS), 0);
		rings = 0;
		pl061_set(&p, LINE, true); /* no change, no edge */
		assert_int_equal(rings, 0);
		pl061_set(&p, LINE, false);
		assert_int_equal(rings, cases[i].up);
		pl061_done(&p);
	}
}

static void a_masked_edge_waits(void **state)
{
	struct pl061 p;

	set_up(&p);
	put(&p, IBE, 8);
	pl061_set(&p, 3, true);
	assert_int_equal(rings, 0);
	assert_int_equal(get(&p, RIS), 8);
	assert_int_equal(get(&p, MIS), 0);
	put(&p, IE, 8);
	assert_int_equal(rings, 1);
	assert_int_equal(get(&p, MIS), 8);
	pl061_done(&p);
}

static void what_an_acknowledge_leaves_rings_again(void **state)
{
	struct pl061 p;

	set_up(&p);
	put(&p, IBE, 0xff);
	put(&p, IE, 0xff);
	pl061_set(&p, 3, true);
	pl061_set(&p, 5, true);
	assert_int_equal(rings, 2);
	rings = 0;
	put(&p, IC, 8);
	assert_int_equal(rings, 1);
	put(&p, IC, 0x20);
	assert_int_equal(rings, 1);
	assert_int_equal(get(&p, RIS), 0);
	pl061_done(&p);
}

static void levels_follow_the_input(void **state)
{
	struct pl061 p;

	set_up(&p);
	put(&p, IS, 8);
	put(&p, IEV, 8);
	put(&p, IE, 8);
	rings = 0;
	pl061_set(&p, 3, true);
	assert_int_equal(rings, 1);
	put(&p, IC, 8); /* does not help while it is high */
	assert_int_equal(rings, 2);
	assert_int_equal(get(&p, MIS), 8);
	pl061_set(&p, 3, false);
	assert_int_equal(get(&p, RIS), 0);
	put(&p, IEV, 0); /* active low now */
	assert_int_equal(rings, 3);
	assert_int_equal(get(&p, MIS), 8);
	pl061_done(&p);
}

static void outputs_do_not_interrupt(void **state)
{
	struct pl061 p;

	set_up(&p);
	put(&p, IBE, 8);
	put(&p, IE, 8);
	put(&p, DIR, 8);
	put(&p, ALL_DATA, 8);
	pl061_set(&p, 3, true);
	assert_int_equal(rings, 0);
	assert_int_equal(get(&p, ALL_DATA), 8);
	pl061_done(&p);
}

static void hostile_accesses_do_nothing(void **state)
{
	static const uint64_t offsets[] = {
		1, 0x401, 0x424, 0x500, 0xfdc, 0xfff, 0x1000, UINT64_MAX
	};
	struct pl061 p;

	set_up(&p);
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		pl061_write(&p, offsets[i], 8, UINT64_MAX);
		assert_int_equal(pl061_read(&p, offsets[i], 8), 0);
	}
	assert_int_equal(get(&p, DIR), 0);
	pl061_set(&p, 11, true); /* as line 3: lines wrap, memory does not */
	assert_int_equal(get(&p, ALL_DATA), 8);
	pl061_done(&p);
}

static void reset_forgets_everything(void **state)
{
	struct pl061 p;

	set_up(&p);
	put(&p, IBE, 8);
	put(&p, IE, 8);
	pl061_set(&p, 3, true);
	pl061_reset(&p);
	assert_int_equal(get(&p, RIS) | get(&p, IE) | get(&p, IBE) | get(&p, ALL_DATA), 0);
	pl061_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identifies_itself),
		cmocka_unit_test(plain_registers_hold_eight_bits),
		cmocka_unit_test(the_address_masks_the_data),
		cmocka_unit_test(edges),
		cmocka_unit_test(a_masked_edge_waits),
		cmocka_unit_test(what_an_acknowledge_leaves_rings_again),
		cmocka_unit_test(levels_follow_the_input),
		cmocka_unit_test(outputs_do_not_interrupt),
		cmocka_unit_test(hostile_accesses_do_nothing),
		cmocka_unit_test(reset_forgets_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
