/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of the PL061 (ARM DDI 0190, chapter 3).
 */
#include "daemon/runner/devices/pl061.h"

#include "libghvm/base/bits.h"

enum pl061_register {
	REG_DATA_END = 0x400, /* below: data, where address bits 9 to 2 are a mask */
	REG_DIR = 0x400,
	REG_IS = 0x404,
	REG_IBE = 0x408,
	REG_IEV = 0x40c,
	REG_IE = 0x410,
	REG_RIS = 0x414,
	REG_MIS = 0x418,
	REG_IC = 0x41c,
	REG_AFSEL = 0x420,
	REG_ID = 0xfe0, /* eight words: peripheral and PrimeCell identification */
	REG_END = 0x1000,
};

#define DATA_MASK GHVM_BITS(9, 2)

/* Raw interrupt status: latched edges and current levels. */
static uint8_t raw_status(const struct pl061 *p)
{
	uint8_t inputs = p->inputs & (uint8_t)~p->dir;
	uint8_t active = (uint8_t)((inputs & p->iev) | (~inputs & ~p->iev));

	return (uint8_t)((p->ris & ~p->is) | (active & p->is & ~p->dir));
}

static uint8_t masked(const struct pl061 *p)
{
	return raw_status(p) & p->ie;
}

static uint8_t lines(const struct pl061 *p)
{
	return (uint8_t)((p->inputs & ~p->dir) | (p->outputs & p->dir));
}

static uint8_t identification(uint64_t offset)
{
	static const uint8_t id[] = { 0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

	return id[(offset - REG_ID) / 4];
}

static uint8_t read_register(const struct pl061 *p, uint64_t offset)
{
	if (offset < REG_DATA_END)
		return (uint8_t)(lines(p) & ghvm_bits_get(DATA_MASK, offset));
	if (offset >= REG_ID)
		return identification(offset);
	switch (offset) {
	case REG_DIR:
		return p->dir;
	case REG_IS:
		return p->is;
	case REG_IBE:
		return p->ibe;
	case REG_IEV:
		return p->iev;
	case REG_IE:
		return p->ie;
	case REG_RIS:
		return raw_status(p);
	case REG_MIS:
		return masked(p);
	case REG_AFSEL:
		return p->afsel;
	}
	return 0;
}

static void write_data(struct pl061 *p, uint8_t mask, uint8_t value)
{
	mask &= p->dir;
	p->outputs = (uint8_t)((p->outputs & ~mask) | (value & mask));
}

static void write_register(struct pl061 *p, uint64_t offset, uint8_t value)
{
	if (offset < REG_DATA_END) {
		write_data(p, (uint8_t)ghvm_bits_get(DATA_MASK, offset), value);
		return;
	}
	switch (offset) {
	case REG_DIR:
		p->dir = value;
		break;
	case REG_IS:
		p->is = value;
		break;
	case REG_IBE:
		p->ibe = value;
		break;
	case REG_IEV:
		p->iev = value;
		break;
	case REG_IE:
		p->ie = value;
		break;
	case REG_IC:
		p->ris &= (uint8_t)~value;
		break;
	case REG_AFSEL:
		p->afsel = value;
		break;
	}
}

void pl061_init(struct pl061 *p, void (*ring)(void *data), void *data)
{
	*p = (struct pl061){ .ring = ring, .data = data, .lock = PTHREAD_MUTEX_INITIALIZER };
}

void pl061_done(struct pl061 *p)
{
	(void)pthread_mutex_destroy(&p->lock); /* not held: the threads are joined */
}

void pl061_reset(struct pl061 *p)
{
	pthread_mutex_lock(&p->lock);
	p->inputs = p->outputs = p->dir = p->is = p->ibe = p->iev = p->ie = p->ris = p->afsel = 0;
	pthread_mutex_unlock(&p->lock);
}

uint64_t pl061_read(void *pl061, uint64_t offset, unsigned int size)
{
	struct pl061 *p = pl061;
	uint8_t value;

	if (offset >= REG_END || !ghvm_aligned(offset, 4))
		return 0;
	pthread_mutex_lock(&p->lock);
	value = read_register(p, offset);
	pthread_mutex_unlock(&p->lock);
	return value;
}

void pl061_write(void *pl061, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pl061 *p = pl061;
	uint8_t before, after;
	bool ring;

	if (offset >= REG_END || !ghvm_aligned(offset, 4))
		return;
	pthread_mutex_lock(&p->lock);
	before = masked(p);
	write_register(p, offset, value & 0xff);
	after = masked(p);
	/* Signal a new edge if interrupts are still pending after an acknowledge. */
	ring = (after & ~before) || (offset == REG_IC && after);
	pthread_mutex_unlock(&p->lock);
	if (ring)
		p->ring(p->data);
}

void pl061_set(struct pl061 *p, unsigned int line, bool high)
{
	uint8_t bit = (uint8_t)(1U << (line % 8)), before, changed;
	bool ring;

	pthread_mutex_lock(&p->lock);
	before = masked(p);
	changed = (uint8_t)(p->inputs ^ (high ? bit : 0)) & bit & (uint8_t)~p->dir;
	p->inputs = (uint8_t)((p->inputs & ~bit) | (high ? bit : 0));
	if ((p->ibe & bit) || high == !!(p->iev & bit))
		p->ris |= changed & (uint8_t)~p->is;
	ring = masked(p) & ~before;
	pthread_mutex_unlock(&p->lock);
	if (ring)
		p->ring(p->data);
}
