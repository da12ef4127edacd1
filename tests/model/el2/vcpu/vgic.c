// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest's interrupt controller: GICv3, INTIDs 0 to 127, all of one priority.
 *
 * While a vCPU runs, its interrupts sit in list registers; vgic_save() and vgic_load() move
 * them around each exit and each access. Active ones go in first: an end of interrupt that
 * finds no list register is lost, and the interrupt with it. There is no maintenance
 * interrupt: while some did not fit, or a level line is high, EL2's timer looks again.
 */
#include <string.h>

#include "tests/model/el2/el2.h"

#define LRS_MAX 4
#define LR_PENDING (1ul << 62)
#define LR_ACTIVE (1ul << 63)
#define LR_GROUP1 (1ul << 60)
#define LR_PRIORITY (0xa0ul << 48)
#define LR_INTID(lr) ((unsigned int)((lr)&0xffff))
#define SGI_INTID(r) ((unsigned int)((r) >> 24 & 15))
#define SGI_IRM (1ul << 40)
#define IROUTER_IRM (1ul << 31)

#define GICD_SIZE 0x10000
#define GICD_CTLR 0x0000
#define GICD_CTLR_ARE_DS 0x50
#define GICD_TYPER 0x0004
#define GICD_TYPER_VALUE (SPI_WORDS - 1 + (9u << 19))
#define GICD_BITMAPS 0x0100 /* seven of 128 bytes each: see bitmap_access() */
#define GICD_BITMAPS_END 0x0400
#define GICD_ICFGR 0x0c00
#define GICD_IROUTER 0x6000
#define GICX_PIDR2 0xffe8
#define PIDR2_GICV3 0x30

#define GICR_SGI_FRAME 0x10000
#define GICR_TYPER 0x00008
#define GICR_TYPER_HIGH 0x0000c
#define GICR_WAKER 0x00014
#define GICR_BITMAPS 0x10100
#define GICR_BITMAPS_END 0x10400
#define GICR_ICFGR0 0x10c00
#define GICR_ICFGR1 0x10c04

static unsigned int lr_limit = LRS_MAX;

static uint64_t lr_read(unsigned int i)
{
	switch (i) {
	case 0:
		return sysreg_read(ICH_LR0_EL2);
	case 1:
		return sysreg_read(ICH_LR1_EL2);
	case 2:
		return sysreg_read(ICH_LR2_EL2);
	default:
		return sysreg_read(ICH_LR3_EL2);
	}
}

static void lr_write(unsigned int i, uint64_t lr)
{
	switch (i) {
	case 0:
		sysreg_write(ICH_LR0_EL2, lr);
		break;
	case 1:
		sysreg_write(ICH_LR1_EL2, lr);
		break;
	case 2:
		sysreg_write(ICH_LR2_EL2, lr);
		break;
	default:
		sysreg_write(ICH_LR3_EL2, lr);
	}
}

/* Lower the number of list registers, to test their exhaustion. */
void vgic_limit_lrs(unsigned int n)
{
	if (n >= 1 && n <= LRS_MAX)
		lr_limit = n;
}

void vgic_reset(struct vm *vm)
{
	vm->gicd_ctlr = 0;
	memset(vm->enabled, 0, sizeof(vm->enabled));
	memset(vm->pending, 0, sizeof(vm->pending));
	memset(vm->level, 0, sizeof(vm->level));
	memset(vm->icfgr, 0, sizeof(vm->icfgr));
	memset(vm->irouter, 0, sizeof(vm->irouter));
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		memset(vm->vcpus[i].routed, i ? 0 : 0xff, sizeof(vm->vcpus[i].routed));
}

static uint32_t *pending_word(struct vcpu *v, unsigned int w)
{
	return w ? &v->vm->pending[w] : &v->pending;
}

/* Interrupts that @v can take: pending, enabled, routed to it, and not active. */
static uint32_t deliverable(const struct vcpu *v, unsigned int w)
{
	const struct vm *vm = v->vm;

	if (!w)
		return v->pending & v->enabled & ~v->active[0];
	return (vm->pending[w] | vm->level[w]) & vm->enabled[w] & v->routed[w] & ~v->active[w];
}

bool vgic_has_pending(const struct vcpu *v)
{
	for (unsigned int w = 0; w < SPI_WORDS; w++)
		if (deliverable(v, w))
			return true;
	return false;
}

/*
 * The timer's line is a level, which EL2 turned into an edge when the timer fired. If the guest has since turned
 * the timer off or set it anew, its interrupt is not pending any more. IMASK does not count, as EL2 sets it too.
 */
static void vtimer_sync(struct vcpu *v)
{
	if (!(v->pending & 1u << INTID_VTIMER))
		return;
	if (!(sysreg_read(cntv_ctl_el0) & TIMER_ENABLE) ||
	    sysreg_read(cntv_cval_el0) > sysreg_read(cntpct_el0))
		v->pending &= ~(1u << INTID_VTIMER);
}

/* List registers of the vCPU that runs here to software state. Harmless if done twice. */
void vgic_save(struct vcpu *v)
{
	for (unsigned int w = 0; w < SPI_WORDS; w++) {
		v->active[w] &= ~v->in_lr[w];
		v->in_lr[w] = 0;
	}
	for (unsigned int i = 0; i < LRS_MAX; i++) {
		uint64_t lr = lr_read(i);
		unsigned int id = LR_INTID(lr);

		if (lr & LR_PENDING)
			*pending_word(v, id / 32) |= 1u << id % 32;
		if (lr & LR_ACTIVE)
			v->active[id / 32] |= 1u << id % 32;
		if (lr)
			lr_write(i, 0);
	}
	vtimer_sync(v);
}

/* Put @ids into list registers from the @n th on. Return: number of list registers in use. */
static unsigned int fill_list_registers(struct vcpu *v, unsigned int n, unsigned int w,
					uint32_t ids)
{
	uint32_t *pending = pending_word(v, w);
	uint32_t enabled = w ? v->vm->enabled[w] : v->enabled;

	for (; ids; ids &= ids - 1) {
		uint32_t bit = ids & -ids;
		uint64_t lr = LR_GROUP1 | LR_PRIORITY | (w * 32 + (unsigned int)__builtin_ctz(bit));

		if (n == lr_limit) {
			v->overflow = true;
			count(COUNTER_lr_overflows);
			return n;
		}
		if (v->active[w] & bit)
			lr |= LR_ACTIVE;
		if (!(lr & LR_ACTIVE) || (*pending & bit & enabled)) {
			lr |= LR_PENDING;
			*pending &= ~bit;
		}
		v->in_lr[w] |= bit;
		lr_write(n++, lr);
	}
	return n;
}

void vgic_load(struct vcpu *v)
{
	unsigned int n = 0;

	v->overflow = false;
	for (unsigned int w = 0; w < SPI_WORDS; w++)
		n = fill_list_registers(v, n, w, v->active[w]);
	for (unsigned int w = 0; w < SPI_WORDS; w++)
		n = fill_list_registers(v, n, w, deliverable(v, w));
	for (unsigned int w = 1; w < SPI_WORDS; w++)
		if (v->vm->level[w] & v->vm->enabled[w] & v->routed[w])
			v->overflow = true;
	isb();
}

void vgic_set_spi(struct vm *vm, unsigned int intid, bool edge, bool level)
{
	unsigned int w = intid / 32;
	uint32_t bit = 1u << intid % 32;

	if (!w || w >= SPI_WORDS)
		return;
	if (edge)
		vm->pending[w] |= bit;
	else if (level)
		vm->level[w] |= bit;
	else
		vm->level[w] &= ~bit;
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		if (vm->vcpus[i].routed[w] & bit)
			vcpu_notice(&vm->vcpus[i]);
}

/* @from runs here and its list registers are saved. */
void vgic_send_sgi(struct vcpu *from, uint64_t sgi1r)
{
	struct vm *vm = from->vm;

	count(COUNTER_guest_sgi);
	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (sgi1r & SGI_IRM ? v == from : !(sgi1r >> i & 1))
			continue;
		v->pending |= 1u << SGI_INTID(sgi1r);
		vcpu_notice(v);
	}
}

static void route(struct vm *vm, unsigned int intid, uint64_t irouter)
{
	unsigned int target = irouter & IROUTER_IRM ? 0 : (unsigned int)(irouter & 0xff);

	vm->irouter[intid] = irouter;
	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		vm->vcpus[i].routed[intid / 32] &= ~(1u << intid % 32);
		if (i == target)
			vm->vcpus[i].routed[intid / 32] |= 1u << intid % 32;
	}
}

/* One register of a set and clear pair: write ones. */
static uint32_t set_clear(uint32_t *word, bool clear, bool write, uint32_t value)
{
	if (write && clear)
		*word &= ~value;
	else if (write)
		*word |= value;
	return *word;
}

/* @offset as in GICD: enable at 0x100, pending at 0x200, active at 0x300; clear at +0x80 */
static uint32_t bitmap_access(struct vcpu *v, uint64_t offset, bool write, uint32_t value)
{
	unsigned int w = (unsigned int)(offset & 0x7f) / 4;
	bool clear = offset & 0x80;
	struct vm *vm = v->vm;

	if (w >= SPI_WORDS)
		return 0;
	switch (offset >> 8) {
	case 1:
		return set_clear(w ? &vm->enabled[w] : &v->enabled, clear, write, value);
	case 2:
		return set_clear(pending_word(v, w), clear, write, value);
	default:
		return set_clear(&v->active[w], clear, write, value);
	}
}

/* The active state of an SPI is with the vCPU that took it. */
static uint32_t spi_active_access(struct vm *vm, uint64_t offset, bool write, uint32_t value)
{
	uint32_t all = 0;

	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];
		uint32_t mine =
			offset & 0x80 ? value : value & v->routed[(offset & 0x7f) / 4 % SPI_WORDS];

		all |= bitmap_access(v, offset, write, mine);
	}
	return all;
}

static uint64_t distributor(struct vcpu *v, uint64_t offset, bool write, uint64_t value)
{
	struct vm *vm = v->vm;
	uint64_t id = (offset - GICD_IROUTER) / 8;

	if (offset == GICD_CTLR) {
		if (write)
			vm->gicd_ctlr = (uint32_t)value;
		return vm->gicd_ctlr | GICD_CTLR_ARE_DS;
	}
	if (offset == GICD_TYPER)
		return GICD_TYPER_VALUE;
	if (offset == GICX_PIDR2)
		return PIDR2_GICV3;
	if (offset >= GICD_BITMAPS && offset < GICD_BITMAPS_END) {
		if (!(offset & 0x7c)) /* word 0 is in the redistributor */
			return 0;
		if (offset >= 0x300)
			return spi_active_access(vm, offset, write, (uint32_t)value);
		return bitmap_access(v, offset, write, (uint32_t)value);
	}
	if (offset >= GICD_ICFGR && offset < GICD_ICFGR + sizeof(vm->icfgr)) {
		if (write)
			vm->icfgr[(offset - GICD_ICFGR) / 4] = (uint32_t)value;
		return vm->icfgr[(offset - GICD_ICFGR) / 4];
	}
	if (offset >= GICD_IROUTER && id >= 32 && id < SPI_WORDS * 32) {
		if (write)
			route(vm, (unsigned int)id, value);
		return vm->irouter[id];
	}
	return 0;
}

static uint64_t redistributor(struct vcpu *v, uint64_t offset, bool write, uint64_t value)
{
	bool last = v->index == v->vm->n_vcpus - 1;

	switch (offset) {
	case GICR_TYPER:
		return (uint64_t)v->index << 32 | (uint64_t)v->index << 8 | (uint64_t)last << 4;
	case GICR_TYPER_HIGH:
		return v->index;
	case GICR_WAKER: /* asleep follows processor sleep */
		if (write)
			v->waker = value & 2 ? 6 : 0;
		return v->waker;
	case GICX_PIDR2:
		return PIDR2_GICV3;
	case GICR_ICFGR0:
		return 0xaaaaaaaa;
	case GICR_ICFGR1:
		if (write)
			v->icfgr1 = (uint32_t)value;
		return v->icfgr1;
	}
	if (offset >= GICR_BITMAPS && offset < GICR_BITMAPS_END && !(offset & 0x7c))
		return bitmap_access(v, offset - GICR_SGI_FRAME, write, (uint32_t)value);
	return 0;
}

/* An access to @ipa by @v, which runs here; false if there is no controller. */
bool vgic_access(struct vcpu *v, uint64_t ipa, bool write, uint64_t *value)
{
	struct vm *vm = v->vm;
	uint64_t offset;
	bool dist = ipa >= vm->gicd && ipa - vm->gicd < GICD_SIZE;

	if (!dist && (ipa < vm->gicr || ipa - vm->gicr >= vm->n_vcpus * GICR_STRIDE))
		return false;
	count(COUNTER_gic_accesses);
	vgic_save(v);
	if (dist) {
		*value = distributor(v, ipa - vm->gicd, write, *value);
	} else {
		offset = ipa - vm->gicr;
		*value = redistributor(&vm->vcpus[offset / GICR_STRIDE], offset % GICR_STRIDE,
				       write, *value);
	}
	vgic_load(v);
	timer_prog();
	return true;
}
