/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of the 16550A (National Semiconductor PC16550D, section 8).
 *
 * The transmitter is always empty, because a byte is sent before the write returns. The character timeout
 * needs no clock: bytes below the trigger level time out immediately.
 */
#include "daemon/runner/devices/uart.h"

#include <string.h>

#include "libghvm/base/bits.h"
#include "libghvm/hyp/host.h"

enum uart_register {
	REG_DATA = 0, /* RBR, THR; DLL with DLAB */
	REG_IER = 1,  /* DLM with DLAB */
	REG_IIR = 2,  /* FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

#define IER_RECEIVED 0x01
#define IER_THRE 0x02
#define IER_LINE 0x04
#define IER_MODEM 0x08
#define IER_MASK 0x0f

#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_THRE 0x02
#define IIR_RECEIVED 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS 0xc0

#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define FCR_TRIGGER GHVM_BITS(7, 6)

#define LCR_DLAB 0x80

#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

#define LSR_DATA 0x01
#define LSR_OVERRUN 0x02
#define LSR_IDLE 0x60 /* THRE and TEMT */

#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80
#define MSR_LINES 0xf0
#define MSR_TERI 0x04 /* RI went from 1 to 0 */

/* Callbacks to call after the lock is released. */
struct uart_effects {
	bool ring;
	bool room;
	bool transmit;
	uint8_t byte;
};

static unsigned int fifo_capacity(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1;
}

static unsigned int fifo_trigger(const struct uart *u)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ENABLE ? levels[ghvm_bits_get(FCR_TRIGGER, u->fcr)] : 1;
}

static void fifo_clear(struct uart *u)
{
	u->fifo_first = 0;
	u->fifo_n = 0;
}

static bool fifo_push(struct uart *u, uint8_t byte)
{
	if (u->fifo_n >= fifo_capacity(u))
		return false;
	u->fifo[(u->fifo_first + u->fifo_n) % UART_FIFO_SIZE] = byte;
	u->fifo_n++;
	return true;
}

static uint8_t fifo_pop(struct uart *u)
{
	uint8_t byte;

	if (!u->fifo_n)
		return 0;
	byte = u->fifo[u->fifo_first];
	u->fifo_first = (u->fifo_first + 1) % UART_FIFO_SIZE;
	u->fifo_n--;
	return byte;
}

/* The enabled and pending interrupt with the highest priority, as in IIR. */
static uint8_t pending(const struct uart *u)
{
	if ((u->ier & IER_LINE) && u->overrun)
		return IIR_LINE;
	if ((u->ier & IER_RECEIVED) && u->fifo_n)
		return u->fifo_n >= fifo_trigger(u) ? IIR_RECEIVED : IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && u->delta)
		return IIR_MODEM;
	return IIR_NONE;
}

/* Modem lines: always ready; in loopback mode they are the UART's own outputs. */
static uint8_t modem_lines(const struct uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
			 (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static uint8_t read_iir(struct uart *u, struct uart_effects *fx)
{
	uint8_t iir = pending(u);

	if (iir == IIR_THRE)
		u->thre = false;
	/* Signal a new edge if interrupts are still pending. */
	fx->ring = pending(u) != IIR_NONE;
	return iir | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct uart *u)
{
	uint8_t lsr = LSR_IDLE | (u->fifo_n ? LSR_DATA : 0) | (u->overrun ? LSR_OVERRUN : 0);

	u->overrun = false;
	return lsr;
}

static uint8_t read_msr(struct uart *u)
{
	uint8_t msr = modem_lines(u) | u->delta;

	u->delta = 0;
	return msr;
}

static uint8_t read_register(struct uart *u, enum uart_register reg, struct uart_effects *fx)
{
	switch (reg) {
	case REG_DATA:
		return u->lcr & LCR_DLAB ? u->dll : fifo_pop(u);
	case REG_IER:
		return u->lcr & LCR_DLAB ? u->dlm : u->ier;
	case REG_IIR:
		return read_iir(u, fx);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		return read_lsr(u);
	case REG_MSR:
		return read_msr(u);
	case REG_SCR:
		return u->scr;
	}
	return 0;
}

static void write_data(struct uart *u, uint8_t byte, struct uart_effects *fx)
{
	if (!(u->mcr & MCR_LOOP)) {
		fx->transmit = true;
		fx->byte = byte;
	} else if (!fifo_push(u, byte)) {
		u->overrun = true;
	}
	u->thre = true; /* the byte was sent immediately */
}

static void write_ier(struct uart *u, uint8_t value)
{
	uint8_t changed = u->ier ^ value;

	u->ier = value & IER_MASK;
	if (changed & IER_THRE)
		u->thre = u->ier & IER_THRE;
}

static void write_fcr(struct uart *u, uint8_t value)
{
	if (((u->fcr ^ value) & FCR_ENABLE) || (value & FCR_CLEAR_RX))
		fifo_clear(u);
	u->fcr = value & (FCR_ENABLE | FCR_TRIGGER);
}

static void write_mcr(struct uart *u, uint8_t value)
{
	uint8_t before = modem_lines(u), after, changed;

	u->mcr = value & MCR_MASK;
	after = modem_lines(u);
	changed = (before ^ after) & MSR_LINES;
	if (after & MSR_RI) /* TERI is set only by a falling edge */
		changed &= (uint8_t)~MSR_RI;
	u->delta |= changed >> 4;
}

static void write_register(struct uart *u, enum uart_register reg, uint8_t value,
			   struct uart_effects *fx)
{
	switch (reg) {
	case REG_DATA:
		if (u->lcr & LCR_DLAB)
			u->dll = value;
		else
			write_data(u, value, fx);
		break;
	case REG_IER:
		if (u->lcr & LCR_DLAB)
			u->dlm = value;
		else
			write_ier(u, value);
		break;
	case REG_IIR:
		write_fcr(u, value);
		break;
	case REG_LCR:
		u->lcr = value;
		break;
	case REG_MCR:
		write_mcr(u, value);
		break;
	case REG_SCR:
		u->scr = value;
		break;
	case REG_LSR:
	case REG_MSR:
		break;
	}
}

/* After each access: check for a new interrupt, and for an empty FIFO. */
static void note_changes(struct uart *u, uint8_t before, struct uart_effects *fx)
{
	fx->ring |= before == IIR_NONE && pending(u) != IIR_NONE;
	if (u->starved && !u->fifo_n && !(u->mcr & MCR_LOOP)) {
		u->starved = false;
		fx->room = true;
	}
}

static void run_effects(struct uart *u, const struct uart_effects *fx)
{
	if (fx->transmit)
		u->ops->transmit(u->data, fx->byte);
	if (fx->ring)
		u->ops->ring(u->data);
	if (fx->room)
		u->ops->on_room(u->data);
}

static void power_on(struct uart *u)
{
	fifo_clear(u);
	u->thre = false;
	u->overrun = false;
	u->ier = u->fcr = u->lcr = u->mcr = u->delta = u->scr = u->dlm = 0;
	u->dll = 1;
}

void uart_init(struct uart *u, const struct uart_ops *ops, void *data)
{
	*u = (struct uart){ .ops = ops, .data = data };
	power_on(u);
}

void uart_reset(struct uart *u)
{
	brief_lock(&u->lock);
	power_on(u);
	brief_unlock(&u->lock);
}

uint64_t uart_read(void *uart, uint64_t offset, unsigned int size)
{
	struct uart *u = uart;
	struct uart_effects fx = {};
	uint8_t value, before;

	if (offset >= UART_REGISTERS)
		return 0;
	brief_lock(&u->lock);
	before = pending(u);
	value = read_register(u, (enum uart_register)offset, &fx);
	note_changes(u, before, &fx);
	brief_unlock(&u->lock);
	run_effects(u, &fx);
	return value;
}

void uart_write(void *uart, uint64_t offset, unsigned int size, uint64_t value)
{
	struct uart *u = uart;
	struct uart_effects fx = {};
	uint8_t before;

	if (offset >= UART_REGISTERS)
		return;
	brief_lock(&u->lock);
	before = pending(u);
	write_register(u, (enum uart_register)offset, value & 0xff, &fx);
	note_changes(u, before, &fx);
	brief_unlock(&u->lock);
	run_effects(u, &fx);
}

size_t uart_receive(struct uart *u, const uint8_t *buf, size_t n)
{
	struct uart_effects fx = {};
	size_t taken = 0;
	uint8_t before;

	brief_lock(&u->lock);
	before = pending(u);
	/* In loopback mode the line is disconnected. */
	while (taken < n && !(u->mcr & MCR_LOOP) && fifo_push(u, buf[taken]))
		taken++;
	u->starved = taken < n;
	fx.ring = before == IIR_NONE && pending(u) != IIR_NONE;
	brief_unlock(&u->lock);
	run_effects(u, &fx);
	return taken;
}

size_t uart_room(struct uart *u)
{
	size_t room;

	brief_lock(&u->lock);
	room = u->mcr & MCR_LOOP ? 0 : fifo_capacity(u) - u->fifo_n;
	u->starved = !room;
	brief_unlock(&u->lock);
	return room;
}
