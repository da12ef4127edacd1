// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts. Group 1 (IRQ) belongs to the primary, Group 0 (FIQ) to EL2.
 *
 * A virq of the primary is an unused SPI of the machine, made pending in the distributor.
 */
#include "tests/model/el2/el2.h"

#define GICD_ISPENDR 0x200
#define GICD_ICPENDR 0x280
#define GICR_SGI 0x10000 /* second frame of a redistributor */
#define GICR_IGROUPR0 (GICR_SGI + 0x80)
#define GICR_ISENABLER0 (GICR_SGI + 0x100)
#define GICR_IPRIORITYR (GICR_SGI + 0x400)
#define OURS (1u << INTID_EL2_TIMER | 1u << INTID_KICK)
#define INTID_MASK 0xffffff

void virq_pend(uint32_t intid)
{
	if (intid >= VIRQ_FIRST && intid <= VIRQ_LAST)
		mmio_write32(GICD + GICD_ISPENDR + intid / 32 * 4, 1u << intid % 32);
}

void virq_clear(uint32_t intid)
{
	if (intid >= VIRQ_FIRST && intid <= VIRQ_LAST)
		mmio_write32(GICD + GICD_ICPENDR + intid / 32 * 4, 1u << intid % 32);
}

/*
 * Linux makes all its private interrupts Group 1 when it brings a CPU up: make EL2's Group 0 again.
 * Priority 0, as they must preempt an interrupt that Linux is handling.
 */
void virq_own(void)
{
	uint64_t r = GICR + GICR_STRIDE * this_cpu()->id;
	uint32_t groups = mmio_read32(r + GICR_IGROUPR0);

	if (!(groups & OURS) && (mmio_read32(r + GICR_ISENABLER0) & OURS) == OURS)
		return;
	mmio_write32(r + GICR_IGROUPR0, groups & ~OURS);
	mmio_write8(r + GICR_IPRIORITYR + INTID_EL2_TIMER, 0);
	mmio_write8(r + GICR_IPRIORITYR + INTID_KICK, 0);
	mmio_write32(r + GICR_ISENABLER0, OURS);
}

/*
 * Make @cpu enter EL2. It has EL2's interrupts if it has run a guest; otherwise it need not
 * enter.
 */
void virq_kick(unsigned int cpu)
{
	sysreg_write(ICC_SGI0R_EL1, (uint64_t)INTID_KICK << 24 | 1ul << cpu);
	isb();
}

/* FMO traps these. Group 0 SGIs of the primary do not exist. */
void virq_primary_sgi(uint64_t esr, struct frame *f)
{
	unsigned int rt = ESR_RT(esr);

	count(COUNTER_primary_sgi);
	if ((esr & ESR_SYSREG_MASK) != ESR_SYSREG_SGI1R)
		return;
	sysreg_write(ICC_SGI1R_EL1, rt == 31 ? 0 : f->x[rt]);
	isb();
}

static void acknowledge(void)
{
	uint64_t id = sysreg_read(ICC_IAR0_EL1) & INTID_MASK;

	count(COUNTER_fiqs);
	if (id == INTID_EL2_TIMER) { /* level: quiet before the end of interrupt */
		sysreg_write(cnthp_ctl_el2, 0);
		isb();
	}
	if (id == INTID_KICK)
		count(COUNTER_kicks);
	if (id < INTID_NONE)
		sysreg_write(ICC_EOIR0_EL1, id);
	isb();
}

static bool primary_tick_due(const struct cpu *c)
{
	const uint64_t *sys = c->primary.sys;

	return (sys[SYS_cntv_ctl_el0] & (TIMER_ENABLE | TIMER_IMASK)) == TIMER_ENABLE &&
	       sys[SYS_cntv_cval_el0] <= sysreg_read(cntpct_el0);
}

/* An interrupt of EL2, in any context. */
void virq_fiq(struct frame *f)
{
	static const uint64_t none[3];
	struct cpu *c = this_cpu();

	acknowledge();
	if (c->current)
		vgic_save(c->current);
	timer_expired();
	if (!c->current) {
		timer_prog();
	} else if (!c->current->vm->ended && primary_tick_due(c)) {
		count(COUNTER_ticks_saved);
		vcpu_leave(f, RUN_READY, none);
	} else {
		vgic_load(c->current);
		timer_prog();
	}
}

/*
 * Any interrupt of the primary while a guest runs. Both use the one virtual timer: if the guest's deadline has
 * passed, the guest gets the interrupt, and the timer is masked, as the handler would do first. EL2 never
 * acknowledges an interrupt: all others are delivered to the primary.
 */
void virq_guest_irq(struct frame *f)
{
	static const uint64_t none[3];
	struct vcpu *v = this_cpu()->current;
	uint64_t ctl = sysreg_read(cntv_ctl_el0);

	if ((ctl & (TIMER_ENABLE | TIMER_IMASK | TIMER_STATUS)) == (TIMER_ENABLE | TIMER_STATUS)) {
		count(COUNTER_guest_timer);
		sysreg_write(cntv_ctl_el0, ctl | TIMER_IMASK);
		isb();
		vgic_save(v);
		v->pending |= 1u << INTID_VTIMER;
		vgic_load(v);
		timer_prog();
	}
	if ((sysreg_read(ICC_HPPIR1_EL1) & INTID_MASK) < INTID_NONE) {
		count(COUNTER_exit_irq);
		vcpu_leave(f, RUN_READY, none);
	}
}
