// SPDX-License-Identifier: GPL-2.0-or-later
/* All entries into EL2: the lock, and dispatch. */
#include "tests/model/el2/el2.h"

#define KIND_SYNC 0
#define KIND_IRQ 1
#define KIND_FIQ 2
#define EXIT_FAULT 5
#define STATUS_LENT 3
#define LENT_LINES 1000
#define ABORT_LINES 1000 /* logged for guests, which may repeat them endlessly */
#define VECTOR_SIZE 0x80
#define VBAR_SAME_SP0 0x000
#define VBAR_SAME_SPX 0x200
#define VBAR_LOWER 0x400
#define FAR_OFFSET(far) ((far)&0xfff)

static uint32_t lock_word;

void lock(void)
{
	uint32_t value, failed;

	__asm__ volatile("1:	ldaxr	%w0, [%2]\n"
			 "	cbnz	%w0, 2f\n"
			 "	stxr	%w1, %w3, [%2]\n"
			 "	cbz	%w1, 3f\n"
			 "2:	yield\n"
			 "	b	1b\n"
			 "3:"
			 : "=&r"(value), "=&r"(failed)
			 : "r"(&lock_word), "r"(1)
			 : "memory");
}

void unlock(void)
{
	__asm__ volatile("stlr wzr, [%0]" ::"r"(&lock_word) : "memory");
}

static uint64_t fault_ipa(void)
{
	return (sysreg_read(hpfar_el2) & ~0xful) << 8;
}

static uint64_t operand(const struct frame *f, unsigned int rt)
{
	return rt == 31 ? 0 : f->x[rt];
}

/* Address of the EL1 vector for an exception taken from @f. */
static uint64_t vector_offset(const struct frame *f)
{
	if (!(f->spsr & 0xf))
		return VBAR_LOWER;
	return f->spsr & 1 ? VBAR_SAME_SPX : VBAR_SAME_SP0;
}

/* Inject a synchronous external abort for the trapped access. */
void trap_abort(struct frame *f, uint64_t esr, uint64_t far)
{
	uint64_t offset = vector_offset(f);
	uint64_t ec = ESR_EC(esr) == EC_IABT_LOWER ? EC_IABT_LOWER : EC_DABT_LOWER;

	if (offset != VBAR_LOWER)
		ec++; /* "same level" */
	sysreg_write(elr_el1, f->elr);
	sysreg_write(spsr_el1, f->spsr);
	sysreg_write(far_el1, far);
	sysreg_write(esr_el1, ec << 26 | ESR_IL | (esr & ESR_WNR) | DFSC_EXTERNAL);
	f->elr = sysreg_read(vbar_el1) + offset;
	f->spsr = SPSR_EL1H_MASKED;
}

static bool translation_fault(uint64_t esr)
{
	return (ESR_DFSC(esr) & ~3ul) == DFSC_TRANSLATION;
}

/* The primary accessed memory that it does not own. */
static void primary_abort(struct frame *f, uint64_t esr)
{
	uint64_t ipa = fault_ipa(), far = sysreg_read(far_el2);

	if (translation_fault(esr) && s2_mapped(s2_primary, ipa)) {
		count(COUNTER_break_retries); /* another CPU was splitting this block */
		return;
	}
	if (ipa == KNOBS_PA && (esr & ESR_ISV) && (esr & ESR_WNR)) {
		f->elr += 4;
		host_knob(FAR_OFFSET(far), operand(f, ESR_SRT(esr)));
		return;
	}
	if (mem_ram(ipa, PAGE)) {
		count(COUNTER_lent_faults);
		if (*counter(COUNTER_lent_faults) <= LENT_LINES)
			log_fmt("lent page touched: ipa %lx va %lx pc %lx esr %lx", ipa, far,
				f->elr, esr);
		if (machine.strict)
			machine_exit(STATUS_LENT);
	} else {
		log_fmt("primary has nothing at %lx, pc %lx", ipa, f->elr);
	}
	if (esr & ESR_S1PTW)
		panic("a page table of the primary was lent", f);
	trap_abort(f, esr, far);
}

static void primary_sync(struct frame *f, uint64_t esr)
{
	switch (ESR_EC(esr)) {
	case EC_HVC:
		host_hypercall(f);
		return;
	case EC_SMC:
		f->elr += 4;
		if (!scm_primary(f))
			psci_primary(f);
		return;
	case EC_SYSREG:
		virq_primary_sgi(esr, f);
		f->elr += 4;
		return;
	case EC_DABT_LOWER:
	case EC_IABT_LOWER:
		primary_abort(f, esr);
		return;
	default:
		panic("unexpected trap of the primary", f);
	}
}

/* The guest cannot go on. */
static void guest_fault(struct frame *f, struct vcpu *v, uint64_t esr)
{
	static const uint64_t none[3];
	const uint32_t reason = 0;

	log_fmt("vm %u vcpu %u: fault, esr %lx elr %lx far %lx ipa %lx", v->vm->vmid, v->index, esr,
		f->elr, sysreg_read(far_el2), fault_ipa());
	vcpu_leave(f, RUN_FAULT, none);
	vm_end(v, RUN_FAULT, 0, 0);
	host_guest_ended(v->vm, EXIT_FAULT, &reason, 1);
}

/*
 * The handler of this exception takes it again, for ever (abi K.10). Only debug images detect
 * that: in production the guest spins unnoticed.
 */
static bool is_loop(const struct frame *f)
{
	uint64_t handler = sysreg_read(vbar_el1) + VBAR_SAME_SPX;

	return !machine.production && vector_offset(f) == VBAR_SAME_SPX &&
	       f->elr - handler < VECTOR_SIZE;
}

static void guest_refused(struct frame *f, struct vcpu *v, uint64_t esr)
{
	count(COUNTER_guest_aborts);
	if (is_loop(f)) {
		guest_fault(f, v, esr);
		return;
	}
	if (*counter(COUNTER_guest_aborts) <= ABORT_LINES)
		log_fmt("vm %u vcpu %u: abort, esr %lx elr %lx ipa %lx", v->vm->vmid, v->index, esr,
			f->elr, fault_ipa() | FAR_OFFSET(sysreg_read(far_el2)));
	trap_abort(f, esr, sysreg_read(far_el2));
}

/* Emulate loads and stores of one register at an unmapped address. */
static bool emulable(uint64_t esr)
{
	return (esr & ESR_ISV) && !(esr & (ESR_CM | ESR_S1PTW)) && translation_fault(esr);
}

static void mmio_exit(struct frame *f, struct vcpu *v, uint64_t ipa, uint64_t esr, uint64_t value)
{
	bool write = esr & ESR_WNR;

	count(COUNTER_exit_mmio);
	v->mmio = write ? MMIO_WRITE : MMIO_READ;
	v->mmio_esr = esr;
	vcpu_leave(f, write ? RUN_MMIO_WRITE : RUN_MMIO_READ,
		   (uint64_t[]){ ipa, 1ul << ESR_SAS(esr), value });
}

static void guest_data_abort(struct frame *f, struct vcpu *v, uint64_t esr)
{
	uint64_t ipa = fault_ipa() | FAR_OFFSET(sysreg_read(far_el2));
	uint64_t size = 1ul << ESR_SAS(esr);
	uint64_t value = esr & ESR_WNR ? operand(f, ESR_SRT(esr)) : 0;
	uint64_t gic = value;

	if (translation_fault(esr) && s2_mapped(v->vm->s2, ipa))
		return;
	if (!emulable(esr)) {
		guest_refused(f, v, esr);
		return;
	}
	if (size < 8)
		value &= (1ul << size * 8) - 1;
	if (vgic_access(v, ipa, esr & ESR_WNR, &gic)) {
		if (!(esr & ESR_WNR))
			vcpu_put_register(f, esr, gic);
		f->elr += 4;
	} else if (ipa < MMIO_WINDOW_END && size <= MMIO_WINDOW_END - ipa) {
		f->elr += 4;
		mmio_exit(f, v, ipa, esr, value);
	} else {
		guest_refused(f, v, esr);
	}
}

static void guest_instruction_abort(struct frame *f, struct vcpu *v, uint64_t esr)
{
	if (translation_fault(esr) && s2_mapped(v->vm->s2, fault_ipa()))
		return;
	guest_refused(f, v, esr);
}

/* Debug and PMU registers read as zero. */
static void guest_sysreg(struct frame *f, struct vcpu *v, uint64_t esr)
{
	unsigned int rt = ESR_RT(esr);

	count(COUNTER_sysregs);
	f->elr += 4;
	if ((esr & (ESR_SYSREG_MASK | ESR_SYSREG_READ)) == ESR_SYSREG_SGI1R) {
		vgic_save(v);
		vgic_send_sgi(v, operand(f, rt));
		vgic_load(v);
		timer_prog();
	} else if ((esr & ESR_SYSREG_READ) && rt != 31) {
		f->x[rt] = 0;
	}
}

static void guest_call(struct frame *f, struct vcpu *v)
{
	if (!psci_guest(f, v))
		host_guest_hypercall(f, v);
}

static void guest_sync(struct frame *f, uint64_t esr)
{
	struct vcpu *v = this_cpu()->current;

	switch (ESR_EC(esr)) {
	case EC_WFX:
		f->elr += 4;
		if (!(esr & ESR_WFE))
			vcpu_block(f, 1);
		return;
	case EC_SMC:
		f->elr += 4;
		guest_call(f, v);
		return;
	case EC_HVC:
		guest_call(f, v);
		return;
	case EC_SYSREG:
		guest_sysreg(f, v, esr);
		return;
	case EC_DABT_LOWER:
		guest_data_abort(f, v, esr);
		return;
	case EC_IABT_LOWER:
		guest_instruction_abort(f, v, esr);
		return;
	default:
		guest_fault(f, v, esr);
	}
}

static void sync(struct frame *f, const struct cpu *c)
{
	uint64_t esr = sysreg_read(esr_el2);

	log_exit(esr, f->elr);
	if (!c->current)
		primary_sync(f, esr);
	else if (!c->current->vm->ended)
		guest_sync(f, esr);
}

void trap(struct frame *f, uint64_t kind)
{
	struct cpu *c = this_cpu();

	c->in_el2 = true; /* before the lock: see vm_stop_all() */
	lock();
	if (kind == KIND_SYNC)
		sync(f, c);
	else if (kind == KIND_FIQ)
		virq_fiq(f);
	else if (kind == KIND_IRQ && c->current)
		virq_guest_irq(f);
	else
		panic("unexpected interrupt or SError", f);
	if (c->current && c->current->vm->ended)
		vcpu_leave_ended(f);
	c->in_el2 = false;
	unlock();
}

void trap_own(struct frame *f, uint64_t kind)
{
	log_fmt("exception of EL2 itself, vector %lu", kind);
	panic("bug", f);
}
