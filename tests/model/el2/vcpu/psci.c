// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PSCI: forwarded for the primary, answered for guests (abi F.2).
 *
 * QEMU starts CPUs at EL2, so a CPU that the primary turns on enters EL2 first.
 */
#include "tests/model/el2/el2.h"

#define PSCI_VERSION 0x84000000u
#define PSCI_CPU_SUSPEND 0x84000001u
#define PSCI_CPU_OFF 0x84000002u
#define PSCI_CPU_ON 0x84000003u
#define PSCI_AFFINITY_INFO 0x84000004u
#define PSCI_MIGRATE_INFO_TYPE 0x84000006u
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u
#define PSCI_FEATURES 0x8400000au
#define PSCI_SYSTEM_RESET2 0x84000012u
#define SMCCC_VERSION 0x80000000u
#define SMC64 0x40000000u

#define PSCI_1_1 0x10001
#define SMCCC_1_1 0x10001
#define MIGRATE_NOT_REQUIRED 2
#define NOT_SUPPORTED (-1)
#define INVALID_PARAMETERS (-2)
#define ALREADY_ON (-4)

#define EXIT_OFF 1
#define EXIT_RESET 2
#define EXIT_RESET2 3
#define RESET_PLAIN (1ul << 63)
#define RESET_SMC64 (1ul << 62)
#define REASON_SMC64 (1u << 15)
#define CAUSE_CPU_SUSPEND 2

/* The new CPU reads its slot with the MMU off. */
static void primary_cpu_on(struct frame *f)
{
	struct cpu_slot *slot = &cpus[f->x[1] % CPUS_MAX].slot;

	if (f->x[1] >= CPUS_MAX) {
		f->x[0] = (uint64_t)INVALID_PARAMETERS;
		return;
	}
	slot->entry = f->x[2];
	slot->context = f->x[3];
	__asm__ volatile("dc cvac, %0\n\tdsb sy" ::"r"(slot) : "memory");
	f->x[2] = (uint64_t)secondary_entry;
	f->x[3] = (uint64_t)slot;
	smc_call(f->x);
}

/* Linux makes no other calls to firmware that knows SMCCC 1.0 only, as QEMU's. */
static bool smccc_version(struct frame *f)
{
	uint32_t fn = (uint32_t)f->x[0];

	if (fn == PSCI_FEATURES && (uint32_t)f->x[1] == SMCCC_VERSION)
		f->x[0] = 0;
	else if (fn == SMCCC_VERSION)
		f->x[0] = SMCCC_1_1;
	else
		return false;
	return true;
}

void psci_primary(struct frame *f)
{
	uint64_t x2 = f->x[2], x3 = f->x[3];
	uint32_t fn = (uint32_t)f->x[0];

	if (machine.scm && smccc_version(f))
		return;
	switch (fn & ~SMC64) {
	case PSCI_CPU_ON:
		primary_cpu_on(f);
		f->x[2] = x2;
		f->x[3] = x3;
		return;
	case PSCI_CPU_OFF:
		this_cpu()->online = false;
		timer_move(this_cpu());
		break;
	case PSCI_SYSTEM_OFF:
	case PSCI_SYSTEM_RESET:
		log_counters();
		break;
	default:
		break;
	}
	unlock(); /* it may sleep, or never return */
	smc_call(f->x);
	lock();
}

static uint64_t features(uint32_t fn)
{
	switch (fn & ~SMC64) {
	case PSCI_VERSION:
	case PSCI_CPU_SUSPEND:
	case PSCI_CPU_OFF:
	case PSCI_CPU_ON:
	case PSCI_AFFINITY_INFO:
	case PSCI_MIGRATE_INFO_TYPE:
	case PSCI_SYSTEM_OFF:
	case PSCI_SYSTEM_RESET:
	case PSCI_FEATURES:
	case PSCI_SYSTEM_RESET2:
	case SMCCC_VERSION:
		return 0;
	default:
		return (uint64_t)NOT_SUPPORTED;
	}
}

static uint64_t cpu_on(struct vm *vm, uint64_t target, uint64_t pc, uint64_t x0)
{
	struct vcpu *v;

	if (target >= vm->n_vcpus)
		return (uint64_t)INVALID_PARAMETERS;
	v = &vm->vcpus[target];
	if (!v->off)
		return (uint64_t)ALREADY_ON;
	vcpu_power_on(v, pc, x0);
	vcpu_wake(v);
	return 0;
}

static uint64_t affinity_info(const struct vm *vm, uint64_t target)
{
	if (target >= vm->n_vcpus)
		return (uint64_t)INVALID_PARAMETERS;
	return vm->vcpus[target].off;
}

/* abi K.8: the caller gets "off", and after RM is notified "off for good". */
static void system_off(struct frame *f, struct vcpu *v)
{
	static const uint64_t none[3];
	const uint32_t reason = 0;

	vcpu_leave(f, RUN_POWERED_OFF, none);
	vm_end(v, RUN_POWERED_OFF, 0, 0);
	host_guest_ended(v->vm, EXIT_OFF, &reason, 1);
}

static void system_reset(struct frame *f, struct vcpu *v)
{
	const uint32_t reason = 0;

	vcpu_leave(f, RUN_RESET, (uint64_t[]){ RESET_PLAIN, 0, 0 });
	vm_end(v, RUN_RESET, RESET_PLAIN, 0);
	host_guest_ended(v->vm, EXIT_RESET, &reason, 1);
}

static void system_reset2(struct frame *f, struct vcpu *v)
{
	bool smc64 = f->x[0] & SMC64;
	uint64_t type = (uint32_t)f->x[1] | (smc64 ? RESET_SMC64 : 0);
	uint64_t cookie = smc64 ? f->x[2] : (uint32_t)f->x[2];
	const uint32_t reason[4] = { smc64 ? REASON_SMC64 : 0, (uint32_t)type, (uint32_t)cookie,
				     (uint32_t)(cookie >> 32) };

	vcpu_leave(f, RUN_RESET, (uint64_t[]){ type, cookie, 0 });
	vm_end(v, RUN_RESET, type, cookie);
	host_guest_ended(v->vm, EXIT_RESET2, reason, 4);
}

static void cpu_off(struct frame *f, struct vcpu *v)
{
	static const uint64_t none[3];

	v->off = true;
	vcpu_leave(f, RUN_POWERED_OFF, none);
}

/* Calls that leave the guest, or may. */
static bool leaving_call(struct frame *f, struct vcpu *v)
{
	switch ((uint32_t)f->x[0] & ~SMC64) {
	case PSCI_SYSTEM_OFF:
		system_off(f, v);
		return true;
	case PSCI_SYSTEM_RESET:
		system_reset(f, v);
		return true;
	case PSCI_SYSTEM_RESET2:
		system_reset2(f, v);
		return true;
	case PSCI_CPU_OFF:
		cpu_off(f, v);
		return true;
	case PSCI_CPU_SUSPEND:
		f->x[0] = 0;
		vcpu_block(f, CAUSE_CPU_SUSPEND);
		return true;
	default:
		return false;
	}
}

/* Return: false if the call is not a PSCI or SMCCC call. */
bool psci_guest(struct frame *f, struct vcpu *v)
{
	uint64_t r;

	if (leaving_call(f, v))
		return true;
	switch ((uint32_t)f->x[0] & ~SMC64) {
	case PSCI_VERSION:
		r = PSCI_1_1;
		break;
	case SMCCC_VERSION:
		r = SMCCC_1_1;
		break;
	case PSCI_FEATURES:
		r = features((uint32_t)f->x[1]);
		break;
	case PSCI_MIGRATE_INFO_TYPE:
		r = MIGRATE_NOT_REQUIRED;
		break;
	case PSCI_CPU_ON:
		r = cpu_on(v->vm, f->x[1], f->x[2], f->x[3]);
		break;
	case PSCI_AFFINITY_INFO:
		r = affinity_info(v->vm, f->x[1]);
		break;
	default:
		return false;
	}
	f->x[0] = r;
	return true;
}
