// SPDX-License-Identifier: GPL-2.0-or-later
/* Set up each physical CPU before it enters the primary at EL1. */
#include <string.h>

#include "tests/model/el2/el2.h"

#define PFR0_SVE(v) ((v) >> 32 & 15)
#define ISAR1_PAUTH 0xff000ff0ul

struct cpu cpus[CPUS_MAX];

/* FMO virtualises some of the CPU interface, so EL2 sets it as Linux would. */
static void gic_init(void)
{
	sysreg_write(ICC_SRE_EL2, 0xf);
	isb();
	sysreg_write(ICH_HCR_EL2, 0);
	sysreg_write(ICH_VMCR_EL2, 0);
	sysreg_write(ICC_PMR_EL1, 0xff);
	sysreg_write(ICC_CTLR_EL1, 0);
	sysreg_write(ICC_BPR0_EL1, 0);
	sysreg_write(ICC_IGRPEN0_EL1, 1);
	sysreg_write(ICH_LR0_EL2, 0);
	sysreg_write(ICH_LR1_EL2, 0);
	sysreg_write(ICH_LR2_EL2, 0);
	sysreg_write(ICH_LR3_EL2, 0);
	isb();
}

static void stage2_on(void)
{
	sysreg_write(vtcr_el2, VTCR_VALUE);
	sysreg_write(vttbr_el2, (uint64_t)s2_primary | 1ul << 48);
	sysreg_write(hcr_el2, HCR_PRIMARY);
	isb();
	__asm__ volatile("tlbi alle1\n\tdsb nsh\n\tisb" ::: "memory");
}

static void traps_init(void)
{
	if (PFR0_SVE(sysreg_read(id_aa64pfr0_el1)) || sysreg_read(id_aa64isar1_el1) & ISAR1_PAUTH)
		panic("use cortex-a72, or max,sve=off,sme=off,pauth=off", NULL);
	sysreg_write(cnthctl_el2, CNTHCT_PRIMARY);
	sysreg_write(cntvoff_el2, 0);
	sysreg_write(cptr_el2, CPTR_NO_TRAPS);
	sysreg_write(hstr_el2, 0);
	sysreg_write(vpidr_el2, sysreg_read(midr_el1));
	sysreg_write(vmpidr_el2, sysreg_read(mpidr_el1));
	sysreg_write(mdcr_el2, sysreg_read(pmcr_el0) >> 11 & 31);
	sysreg_write(sctlr_el1, SCTLR_EL1_OFF);
	sysreg_write(cnthp_ctl_el2, 0);
	isb();
}

/* Make @f enter the primary at @pc, all else as an arm64 kernel expects it. */
void cpu_init(struct frame *f, uint64_t pc, uint64_t x0)
{
	struct cpu *c = this_cpu();

	c->id = (unsigned int)(c - cpus);
	c->in_el2 = false;
	c->current = NULL;
	c->last = NULL;
	c->online = true;
	stage2_on();
	traps_init();
	gic_init();
	memset(f, 0, sizeof(*f));
	f->x[0] = x0;
	f->elr = pc;
	f->spsr = SPSR_EL1H_MASKED;
}
