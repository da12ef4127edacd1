/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 16550A: each register, each interrupt and its edge, full and empty FIFOs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/runner/devices/uart.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

struct fixture {
	struct uart u;
	unsigned int rings;
	unsigned int rooms;
	uint8_t sent[64];
	size_t n_sent;
};

static void on_ring(void *data)
{
	((struct fixture *)data)->rings++;
}

static void on_transmit(void *data, uint8_t byte)
{
	struct fixture *f = data;

	f->sent[f->n_sent++ % sizeof(f->sent)] = byte;
}

static void on_room(void *data)
{
	((struct fixture *)data)->rooms++;
}

static const struct uart_ops ops = { on_ring, on_transmit, on_room };

static void set_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	uart_init(&f->u, &ops, f);
}

static uint8_t get(struct fixture *f, unsigned int reg)
{
	return (uint8_t)uart_read(&f->u, reg, 1);
}

static void put(struct fixture *f, unsigned int reg, uint8_t value)
{
	uart_write(&f->u, reg, 1, value);
}

static size_t receive(struct fixture *f, const char *s)
{
	return uart_receive(&f->u, (const uint8_t *)s, strlen(s));
}

static unsigned int take_rings(struct fixture *f)
{
	unsigned int n = f->rings;

	f->rings = 0;
	return n;
}

static void after_power_on(void **state)
{
	static const uint8_t expected[] = { 0, 0, 0x01, 0, 0, 0x60, 0xb0, 0 };
	struct fixture f;

	set_up(&f);
	for (unsigned int i = 0; i < UART_REGISTERS; i++)
		assert_int_equal(get(&f, i), expected[i]);
	assert_int_equal(f.rings, 0);
}

static void scratch_and_divisor_hold_any_byte(void **state)
{
	struct fixture f;

	set_up(&f);
	for (unsigned int v = 0; v < 256; v++) {
		put(&f, SCR, (uint8_t)v);
		assert_int_equal(get(&f, SCR), v);
	}
	put(&f, LCR, 0x83);
	put(&f, DATA, 0x34);
	put(&f, IER, 0x12);
	assert_int_equal(get(&f, DATA), 0x34);
	assert_int_equal(get(&f, IER), 0x12);
	put(&f, LCR, 0x03);
	assert_int_equal(get(&f, LCR), 0x03);
	assert_int_equal(get(&f, IER), 0); /* the divisor was not IER */
	assert_int_equal(f.n_sent, 0);	   /* nor THR */
}

static void reserved_bits_read_as_zero(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, IER, 0xff);
	assert_int_equal(get(&f, IER), 0x0f);
	put(&f, IER, 0);
	put(&f, MCR, 0xff);
	assert_int_equal(get(&f, MCR), 0x1f);
	put(&f, LSR, 0xff); /* read-only */
	put(&f, MSR, 0xff);
	put(&f, MCR, 0);
	(void)get(&f, MSR);
	assert_int_equal(get(&f, LSR), 0x60);
	assert_int_equal(get(&f, MSR), 0xb0);
}

static void transmits_what_is_written(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, DATA, 'h');
	put(&f, DATA, 'i');
	assert_int_equal(f.n_sent, 2);
	assert_memory_equal(f.sent, "hi", 2);
	assert_int_equal(get(&f, LSR), 0x60);
	assert_int_equal(f.rings, 0); /* not enabled */
}

static void thre_interrupt_comes_once_per_emptying(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, IER, 0x02); /* empty already: enabling tells */
	assert_int_equal(take_rings(&f), 1);
	assert_int_equal(get(&f, IIR), 0x02);
	assert_int_equal(get(&f, IIR), 0x01); /* reading it was the acknowledge */
	assert_int_equal(take_rings(&f), 0);
	put(&f, DATA, 'x');
	assert_int_equal(take_rings(&f), 1);
	put(&f, DATA, 'y'); /* pending still: one edge is enough */
	assert_int_equal(take_rings(&f), 0);
	assert_int_equal(get(&f, IIR), 0x02);
	put(&f, IER, 0x02); /* unchanged */
	assert_int_equal(get(&f, IIR), 0x01);
}

/* What Linux' 8250 driver does to find UARTs with a broken THRE interrupt. */
static void passes_the_thre_test_of_linux(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, IER, 0x02);
	assert_int_equal(get(&f, IIR) & 1, 0);
	put(&f, IER, 0);
	put(&f, IER, 0x02);
	assert_int_equal(get(&f, IIR) & 1, 0);
	put(&f, IER, 0);
	assert_int_equal(get(&f, IIR), 0x01);
}

static void received_data_rings_and_stays_until_read(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, FCR, 0x01); /* trigger 1 */
	assert_int_equal(receive(&f, "ab"), 2);
	assert_int_equal(take_rings(&f), 0);
	put(&f, IER, 0x01);
	assert_int_equal(take_rings(&f), 1); /* enabling finds it */
	assert_int_equal(get(&f, IIR), 0xc4);
	assert_int_equal(take_rings(&f), 1); /* still there after the look: again */
	assert_int_equal(get(&f, LSR), 0x61);
	assert_int_equal(get(&f, DATA), 'a');
	assert_int_equal(get(&f, LSR), 0x61);
	assert_int_equal(get(&f, DATA), 'b');
	assert_int_equal(get(&f, LSR), 0x60);
	assert_int_equal(get(&f, IIR), 0xc1);
	assert_int_equal(take_rings(&f), 0);
	assert_int_equal(receive(&f, "c"), 1); /* a rise again */
	assert_int_equal(take_rings(&f), 1);
	assert_int_equal(receive(&f, "d"), 1); /* none */
	assert_int_equal(take_rings(&f), 0);
}

static void below_the_trigger_it_is_a_timeout(void **state)
{
	static const struct {
		uint8_t fcr;
		unsigned int level;
	} cases[] = { { 0x01, 1 }, { 0x41, 4 }, { 0x81, 8 }, { 0xc1, 14 } };
	struct fixture f;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up(&f);
		put(&f, FCR, cases[i].fcr);
		put(&f, IER, 0x01);
		for (unsigned int n = 1; n <= UART_FIFO_SIZE; n++) {
			assert_int_equal(receive(&f, "."), 1);
			assert_int_equal(get(&f, IIR), n < cases[i].level ? 0xcc : 0xc4);
		}
	}
}

static void interrupts_have_priorities(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, FCR, 0x01);
	put(&f, MCR, 0x10); /* loopback: the modem lines drop, overruns can be made */
	put(&f, IER, 0x0f);
	for (int i = 0; i < UART_FIFO_SIZE + 1; i++)
		put(&f, DATA, (uint8_t)i);
	assert_int_equal(get(&f, IIR), 0xc6); /* overrun */
	assert_int_equal(get(&f, LSR), 0x63); /* reading it clears it */
	assert_int_equal(get(&f, LSR), 0x61);
	assert_int_equal(get(&f, IIR), 0xc4);
	take_rings(&f);
	for (int i = 0; i < UART_FIFO_SIZE; i++)
		assert_int_equal(get(&f, DATA), i);
	assert_int_equal(take_rings(&f), 0);
	assert_int_equal(get(&f, IIR), 0xc2);
	assert_int_equal(take_rings(&f), 1); /* the modem interrupt is left */
	assert_int_equal(get(&f, IIR), 0xc0);
	assert_int_equal(get(&f, MSR), 0x0b);
	assert_int_equal(get(&f, IIR), 0xc1);
	assert_int_equal(f.n_sent, 0);
}

static void a_full_fifo_leaves_bytes_with_the_caller(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, FCR, 0x01);
	assert_int_equal(uart_room(&f.u), UART_FIFO_SIZE);
	assert_int_equal(receive(&f, "0123456789abcdefXYZ"), UART_FIFO_SIZE);
	assert_int_equal(uart_room(&f.u), 0);
	assert_int_equal(receive(&f, "X"), 0);
	assert_int_equal(get(&f, LSR), 0x61); /* nothing was overrun */
	for (int i = 0; i < UART_FIFO_SIZE - 1; i++)
		assert_int_equal(get(&f, DATA), "0123456789abcdef"[i]);
	assert_int_equal(f.rooms, 0);
	assert_int_equal(get(&f, DATA), 'f');
	assert_int_equal(f.rooms, 1); /* empty, and a reader waits */
	assert_int_equal(get(&f, DATA), 0);
	assert_int_equal(f.rooms, 1);
	assert_int_equal(receive(&f, "X"), 1);
	assert_int_equal(get(&f, DATA), 'X');
	assert_int_equal(f.rooms, 1); /* no reader waits */
}

static void without_fifo_one_byte_fits(void **state)
{
	struct fixture f;

	set_up(&f);
	assert_int_equal(receive(&f, "ab"), 1);
	put(&f, IER, 0x01);
	assert_int_equal(get(&f, IIR), 0x04);
	put(&f, FCR, 0x01); /* switching empties it */
	assert_int_equal(get(&f, LSR), 0x60);
	assert_int_equal(f.rooms, 1);
	assert_int_equal(get(&f, IIR), 0xc1);
}

static void fcr_clears_the_fifo(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, FCR, 0x01);
	assert_int_equal(receive(&f, "abc"), 3);
	put(&f, FCR, 0x05); /* transmitter only */
	assert_int_equal(get(&f, LSR), 0x61);
	put(&f, FCR, 0x03);
	assert_int_equal(get(&f, LSR), 0x60);
	assert_int_equal(get(&f, DATA), 0);
}

static void loopback_connects_outputs_to_inputs(void **state)
{
	static const uint8_t msr_of_mcr[] = { 0x00, 0x20, 0x10, 0x30, 0x40, 0x60, 0x50, 0x70,
					      0x80, 0xa0, 0x90, 0xb0, 0xc0, 0xe0, 0xd0, 0xf0 };
	struct fixture f;

	set_up(&f);
	for (unsigned int i = 0; i < 16; i++) {
		put(&f, MCR, (uint8_t)(0x10 | i));
		assert_int_equal(get(&f, MSR) & 0xf0, msr_of_mcr[i]);
	}
	assert_int_equal(receive(&f, "x"), 0); /* cut off */
	put(&f, DATA, 'l');
	assert_int_equal(get(&f, DATA), 'l');
	assert_int_equal(f.n_sent, 0);
	assert_int_equal(f.rooms, 0);
	put(&f, MCR, 0);
	assert_int_equal(f.rooms, 1);
	assert_int_equal(receive(&f, "x"), 1);
}

static void ring_indicator_counts_when_it_falls(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, MCR, 0x10);
	(void)get(&f, MSR);
	put(&f, MCR, 0x14);
	assert_int_equal(get(&f, MSR), 0x40);
	put(&f, MCR, 0x10);
	assert_int_equal(get(&f, MSR), 0x04);
	assert_int_equal(get(&f, MSR), 0x00);
}

static void hostile_accesses_do_nothing(void **state)
{
	static const uint64_t offsets[] = { 8, 9, 0xfff, 0x1000, UINT64_MAX };
	struct fixture f;

	set_up(&f);
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		uart_write(&f.u, offsets[i], 8, UINT64_MAX);
		assert_int_equal(uart_read(&f.u, offsets[i], 8), 0);
	}
	uart_write(&f.u, SCR, 8, 0x1122334455667788); /* wide: the low byte */
	assert_int_equal(uart_read(&f.u, SCR, 8), 0x88);
	assert_int_equal(f.n_sent + f.rings + f.rooms, 0);
}

/* Looks at a copy, since a look at IIR changes things. */
static bool is_pending(const struct fixture *f)
{
	static struct fixture copy;

	copy = *f;
	copy.u.data = &copy;
	return !(uart_read(&copy.u, IIR, 1) & 1);
}

/*
 * Whatever a guest does: while an interrupt is pending, an edge was given since it last was
 * not, and one more whenever it looked at IIR and left something.
 */
static void no_sequence_loses_an_edge(void **state)
{
	uint32_t seed = 1, pending_for = 0;
	bool edge = false;
	struct fixture f;

	set_up(&f);
	for (int i = 0; i < 200000; i++) {
		uint8_t reg;
		bool looked;

		seed = seed * 1664525 + 1013904223;
		reg = (seed >> 13) & 7;
		looked = seed >> 30 == 1 && reg == IIR;
		if (seed >> 30 == 0)
			(void)uart_receive(&f.u, (const uint8_t *)"zzz", (seed >> 8) & 3);
		else if (seed >> 30 == 1)
			(void)get(&f, reg);
		else
			put(&f, reg, (uint8_t)(seed >> 16));
		edge = f.rings || (edge && !looked);
		f.rings = 0;
		if (is_pending(&f)) {
			assert_true(edge);
			pending_for++;
		} else {
			edge = false;
		}
	}
	assert_true(pending_for > 10000 && pending_for < 190000);
}

static void reset_forgets_everything(void **state)
{
	struct fixture f;

	set_up(&f);
	put(&f, SCR, 1);
	put(&f, IER, 1);
	put(&f, MCR, 0x1f);
	put(&f, LCR, 3);
	(void)receive(&f, "abc");
	uart_reset(&f.u);
	take_rings(&f);
	after_power_on(state);
	assert_int_equal(get(&f, SCR) | get(&f, IER) | get(&f, MCR) | get(&f, LCR), 0);
	assert_int_equal(get(&f, LSR), 0x60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_power_on),
		cmocka_unit_test(scratch_and_divisor_hold_any_byte),
		cmocka_unit_test(reserved_bits_read_as_zero),
		cmocka_unit_test(transmits_what_is_written),
		cmocka_unit_test(thre_interrupt_comes_once_per_emptying),
		cmocka_unit_test(passes_the_thre_test_of_linux),
		cmocka_unit_test(received_data_rings_and_stays_until_read),
		cmocka_unit_test(below_the_trigger_it_is_a_timeout),
		cmocka_unit_test(interrupts_have_priorities),
		cmocka_unit_test(a_full_fifo_leaves_bytes_with_the_caller),
		cmocka_unit_test(without_fifo_one_byte_fits),
		cmocka_unit_test(fcr_clears_the_fifo),
		cmocka_unit_test(loopback_connects_outputs_to_inputs),
		cmocka_unit_test(ring_indicator_counts_when_it_falls),
		cmocka_unit_test(hostile_accesses_do_nothing),
		cmocka_unit_test(no_sequence_loses_an_edge),
		cmocka_unit_test(reset_forgets_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
