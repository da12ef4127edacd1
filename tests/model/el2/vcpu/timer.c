// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * EL2's own timer (CNTHP) of each CPU, and its deadlines.
 *
 * Linux may have changed the interrupt's group meanwhile: virq_own() before it is armed.
 */
#include "tests/model/el2/el2.h"

#define RESYNC_NS 100000
#define NS 1000000000ul
#define NEVER (~0ul)

static uint64_t work_at = NEVER; /* ticks */
static unsigned int work_cpu;

static uint64_t to_ticks(uint64_t ns)
{
	uint64_t hz = sysreg_read(cntfrq_el0);

	return ns / NS * hz + ns % NS * hz / NS;
}

uint64_t timer_ns(void)
{
	uint64_t hz = sysreg_read(cntfrq_el0);
	uint64_t now = sysreg_read(cntpct_el0);

	return now / hz * NS + now % hz * NS / hz;
}

static bool armed(const uint64_t *sys)
{
	return (sys[SYS_cntv_ctl_el0] & (TIMER_ENABLE | TIMER_IMASK)) == TIMER_ENABLE;
}

static bool due(const uint64_t *sys)
{
	return armed(sys) && sys[SYS_cntv_cval_el0] <= sysreg_read(cntpct_el0);
}

/* Deadline of a vCPU that is not running, from its saved registers. */
bool timer_due(const struct vcpu *v)
{
	return due(v->world.sys);
}

static bool waits_here(const struct vcpu *v, const struct cpu *c)
{
	return v->blocked && !v->woken && v->cpu < 0 && v->home == (int)c->id;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t sooner_of(uint64_t deadline, const uint64_t *sys)
{
	return armed(sys) ? sooner(deadline, sys[SYS_cntv_cval_el0]) : deadline;
}

static uint64_t deadline_of(const struct cpu *c)
{
	uint64_t d = work_cpu == c->id ? work_at : NEVER;

	for (unsigned int s = 0; s < MODEL_VMS_MAX; s++)
		for (unsigned int i = 0; vms[s].used && i < vms[s].n_vcpus; i++)
			if (waits_here(&vms[s].vcpus[i], c))
				d = sooner_of(d, vms[s].vcpus[i].world.sys);
	if (!c->current)
		return d;
	if (c->current->overflow)
		d = sooner(d, sysreg_read(cntpct_el0) + to_ticks(RESYNC_NS));
	return sooner_of(d, c->primary.sys); /* its tick must not wait for the guest */
}

/* Program the timer of this CPU; called after any change of a deadline. */
void timer_prog(void)
{
	uint64_t d = deadline_of(this_cpu());

	if (d == NEVER) {
		sysreg_write(cnthp_ctl_el2, 0);
	} else {
		virq_own();
		sysreg_write(cnthp_cval_el2, d);
		sysreg_write(cnthp_ctl_el2, TIMER_ENABLE);
	}
	isb();
}

/* Handle all passed deadlines of this CPU but the primary's tick and those of the running guest. */
void timer_expired(void)
{
	const struct cpu *c = this_cpu();

	for (unsigned int s = 0; s < MODEL_VMS_MAX; s++)
		for (unsigned int i = 0; vms[s].used && i < vms[s].n_vcpus; i++) {
			struct vcpu *v = &vms[s].vcpus[i];

			if (waits_here(v, c) && due(v->world.sys))
				vcpu_wake(v);
		}
	if (work_cpu == c->id && work_at <= sysreg_read(cntpct_el0)) {
		work_at = NEVER;
		host_work();
	}
}

/* The core has one deadline, which the CPU that set it keeps. */
void timer_work_at(uint64_t ns)
{
	work_at = ns ? to_ticks(ns) + 1 : NEVER;
	work_cpu = this_cpu()->id;
	timer_prog();
}

/* @from is turned off: move its deadlines to another CPU. */
void timer_move(struct cpu *from)
{
	struct cpu *to = NULL;

	for (unsigned int i = 0; i < CPUS_MAX; i++)
		if (cpus[i].online && &cpus[i] != from)
			to = &cpus[i];
	if (!to)
		return;
	for (unsigned int s = 0; s < MODEL_VMS_MAX; s++)
		for (unsigned int i = 0; vms[s].used && i < vms[s].n_vcpus; i++)
			if (waits_here(&vms[s].vcpus[i], from))
				vms[s].vcpus[i].home = (int)to->id;
	if (work_cpu == from->id)
		work_cpu = to->id;
	virq_kick(to->id); /* programs its timer */
}
