// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu_run: entry into a guest and exit from it, and the end of a VM.
 *
 * A vCPU runs on the CPU of the vcpu_run until the primary is needed: for one of its interrupts,
 * its timer, or an exit that user space must answer.
 */
#include <string.h>

#include "tests/model/el2/el2.h"

#define ERROR_BUSY 31
#define VMID_SHIFT 48
#define MPIDR_RES1 0x80000000ul

struct vm vms[MODEL_VMS_MAX];

/* Registers of a vCPU at reset, and where it starts. Does not wake its runner. */
void vcpu_power_on(struct vcpu *v, uint64_t pc, uint64_t x0)
{
	uint64_t *sys = v->world.sys;

	memset(&v->world, 0, sizeof(v->world));
	memset(v->active, 0, sizeof(v->active));
	v->pending = 0;
	v->blocked = false;
	v->off = false;
	v->mmio = MMIO_NONE;
	v->world.frame.elr = pc;
	v->world.frame.x[0] = x0;
	v->world.frame.spsr = SPSR_EL1H_MASKED;
	sys[SYS_sctlr_el1] = SCTLR_EL1_OFF;
	sys[SYS_vmpidr_el2] = MPIDR_RES1 | v->index;
	sys[SYS_vttbr_el2] = (uint64_t)v->vm->s2 | (uint64_t)(v->vm->slot + 2) << VMID_SHIFT;
	sys[SYS_hcr_el2] = HCR_GUEST;
	sys[SYS_mdcr_el2] = MDCR_TRAPS | (sysreg_read(pmcr_el0) >> 11 & 31);
	sys[SYS_cnthctl_el2] = CNTHCT_GUEST;
	sys[SYS_ICH_HCR_EL2] = 1;
}

void vcpu_set_registers(struct vcpu *v, const struct model_registers *registers)
{
	for (unsigned int i = 0; i < sizeof(registers->x) / sizeof(*registers->x); i++)
		v->world.frame.x[i] = registers->x[i];
	v->world.sys[SYS_sp_el0] = registers->sp[0];
	v->world.sys[SYS_sp_el1] = registers->sp[1];
}

static void answer(struct frame *f, enum run_state state, const uint64_t *data)
{
	f->x[0] = 0;
	f->x[1] = state;
	f->x[2] = data[0];
	f->x[3] = data[1];
	f->x[4] = data[2];
}

/* Result of a run of @v after the end of its VM. */
static enum run_state end_of(const struct vcpu *v, uint64_t data[3])
{
	const struct vm *vm = v->vm;
	bool own = vm->ended_by == v;

	data[0] = own ? vm->end_data[0] : 1; /* for good */
	data[1] = own ? vm->end_data[1] : 0;
	data[2] = 0;
	return own ? (enum run_state)vm->end_state : RUN_POWERED_OFF;
}

static void answer_ended(struct frame *f, const struct vcpu *v)
{
	uint64_t data[3];
	enum run_state state = end_of(v, data);

	answer(f, state, data);
}

/* Another CPU or another vCPU with the same VMID: translations cached here may be stale. */
static void local_tlb_check(struct cpu *c, struct vcpu *v)
{
	if (v->last_cpu == (int)c->id && c->last == v)
		return;
	__asm__ volatile("tlbi alle1\n\tdsb nsh\n\tic iallu\n\tdsb nsh\n\tisb" ::: "memory");
	v->last_cpu = (int)c->id;
	c->last = v;
}

static void enter_guest(struct frame *f, struct vcpu *v)
{
	struct cpu *c = this_cpu();

	count(COUNTER_runs);
	virq_own();
	c->primary.frame = *f;
	sysregs_save(c->primary.sys);
	fp_save(&c->primary.fp);
	local_tlb_check(c, v);
	v->cpu = (int)c->id;
	v->blocked = false;
	c->current = v;
	sysregs_load(v->world.sys);
	fp_load(&v->world.fp);
	*f = v->world.frame;
	vgic_load(v);
	timer_prog();
}

/* Return to the primary: its vcpu_run returns @state and @data. */
void vcpu_leave(struct frame *f, enum run_state state, const uint64_t data[3])
{
	struct cpu *c = this_cpu();
	struct vcpu *v = c->current;

	vgic_save(v);
	v->world.frame = *f;
	sysregs_save(v->world.sys);
	fp_save(&v->world.fp);
	sysregs_load(c->primary.sys);
	fp_load(&c->primary.fp);
	*f = c->primary.frame;
	answer(f, state, data);
	v->cpu = -1;
	v->home = (int)c->id;
	c->current = NULL;
	timer_prog();
}

void vcpu_leave_ended(struct frame *f)
{
	uint64_t data[3];
	enum run_state state = end_of(this_cpu()->current, data);

	vcpu_leave(f, state, data);
}

/* The result of a load, as its syndrome says: size, sign, width of the register. */
void vcpu_put_register(struct frame *f, uint64_t esr, uint64_t value)
{
	unsigned int bits = 8u << ESR_SAS(esr);
	unsigned int rt = ESR_SRT(esr);

	if (bits < 64) {
		value &= (1ul << bits) - 1;
		if ((esr & ESR_SSE) && (value >> (bits - 1) & 1))
			value |= ~0ul << bits;
		if (!(esr & ESR_SF))
			value &= 0xffffffff;
	}
	if (rt != 31)
		f->x[rt] = value;
}

static void complete_mmio(struct vcpu *v, uint64_t resume)
{
	if (v->mmio == MMIO_READ)
		vcpu_put_register(&v->world.frame, v->mmio_esr, resume);
	v->mmio = MMIO_NONE;
}

void vcpu_run(struct frame *f, struct vcpu *v, uint64_t resume)
{
	static const uint64_t none[3], wfi[3] = { 0, 1, 0 };

	if (v->cpu >= 0) {
		f->x[0] = ERROR_BUSY;
	} else if (v->vm->ended) {
		answer_ended(f, v);
	} else if (v->off) {
		answer(f, RUN_POWERED_OFF, none);
	} else if (v->blocked && !vcpu_runnable(v)) {
		v->home = (int)this_cpu()->id;
		v->woken = false;
		answer(f, RUN_EXPECTS_WAKEUP, wfi);
		timer_prog();
	} else {
		complete_mmio(v, resume);
		enter_guest(f, v);
	}
}

bool vcpu_runnable(const struct vcpu *v)
{
	return vgic_has_pending(v) || timer_due(v);
}

/* WFI and CPU_SUSPEND of the vCPU that runs here; @cause as abi F.1. */
void vcpu_block(struct frame *f, uint64_t cause)
{
	struct vcpu *v = this_cpu()->current;

	vgic_save(v);
	v->world.sys[SYS_cntv_ctl_el0] = sysreg_read(cntv_ctl_el0);
	v->world.sys[SYS_cntv_cval_el0] = sysreg_read(cntv_cval_el0);
	if (vcpu_runnable(v)) {
		vgic_load(v);
		timer_prog();
		return;
	}
	count(COUNTER_exit_wfi);
	v->blocked = true;
	v->woken = false;
	vcpu_leave(f, RUN_EXPECTS_WAKEUP, (uint64_t[]){ 0, cause, 0 });
}

void vcpu_wake(struct vcpu *v)
{
	count(COUNTER_wakes);
	v->woken = true;
	virq_pend(host_vcpu_virq(v));
}

/* An interrupt became pending: make the vCPU take it, wherever it is. */
void vcpu_notice(struct vcpu *v)
{
	if (v->cpu >= 0) {
		if (v->cpu != (int)this_cpu()->id)
			virq_kick((unsigned int)v->cpu);
	} else if (v->blocked && !v->woken && vcpu_runnable(v)) {
		vcpu_wake(v);
	}
}

/* Wake all vCPUs except @but to see that the VM has ended. */
static void wake_all(struct vm *vm, const struct vcpu *but)
{
	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (v == but)
			continue;
		if (v->cpu >= 0)
			vcpu_notice(v);
		else
			vcpu_wake(v);
	}
}

/* @by has left the guest. Its runs return the same state until RM is notified and kills the VM. */
void vm_end(struct vcpu *by, enum run_state state, uint64_t data0, uint64_t data1)
{
	struct vm *vm = by->vm;

	if (vm->ended)
		return;
	vm->ended = true;
	vm->ended_by = by;
	vm->end_state = state;
	vm->end_data[0] = data0;
	vm->end_data[1] = data1;
	wake_all(vm, by);
}

/* RM ends the VM, or learns of its end. */
void vm_kill(struct vm *vm)
{
	vm->ended = true;
	vm->ended_by = NULL;
	wake_all(vm, NULL);
}

/*
 * Returns when no vCPU of @vm executes any more. Other CPUs may still have one loaded, but wait
 * for the lock in EL2, and will then see that the VM has ended.
 */
void vm_stop_all(struct vm *vm)
{
	unsigned int self = this_cpu()->id;

	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		int cpu = vm->vcpus[i].cpu;

		if (cpu < 0 || cpu == (int)self)
			continue;
		virq_kick((unsigned int)cpu);
		while (!cpus[cpu].in_el2)
			__asm__ volatile("yield");
	}
}

bool vm_busy(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		if (vm->vcpus[i].cpu >= 0)
			return true;
	return false;
}
