/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * EL2 firmware for QEMU "virt": structures and interfaces of its files.
 *
 * EL2 runs with interrupts masked and under one lock, taken on every entry and released
 * before every return, so nothing here is concurrent except the spin in vcpu_stop_all().
 * README.md has the reasons.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/model/core/model.h"
#include "tests/model/el2/counters.h"
#include "tests/model/el2/sysreg.h"

#define CPUS_MAX 8
#define PAGE 4096ul
#define BLOCK 0x200000ul
#define EL2_BASE 0x40000000ul	/* hidden from the primary, with QEMU's boot stub */
#define LINUX_ADDR 0x41000000ul /* start of the primary's RAM, and of its kernel */
#define MMIO_WINDOW_END 0x40000000ul

#define GICD 0x08000000ul
#define GICR 0x080a0000ul
#define GICR_STRIDE 0x20000ul
#define INTID_KICK 15
#define INTID_VTIMER 27
#define INTID_EL2_TIMER 26
#define INTID_NONE 1020
#define VIRQ_FIRST 144
#define VIRQ_LAST 255

#define SPI_WORDS 4 /* a guest has INTIDs 0 to 127: word 0 is of the CPU */

struct frame {
	uint64_t x[31];
	uint64_t elr;
	uint64_t spsr;
	uint64_t pad;
};

/* System registers of a world, read and written in this order: CVAL before CTL. */
#define SYSREGS(X)                                                                                 \
	X(sctlr_el1)                                                                               \
	X(cpacr_el1)                                                                               \
	X(ttbr0_el1)                                                                               \
	X(ttbr1_el1)                                                                               \
	X(tcr_el1)                                                                                 \
	X(mair_el1)                                                                                \
	X(amair_el1)                                                                               \
	X(vbar_el1)                                                                                \
	X(contextidr_el1)                                                                          \
	X(tpidr_el0)                                                                               \
	X(tpidr_el1)                                                                               \
	X(tpidrro_el0)                                                                             \
	X(sp_el0)                                                                                  \
	X(sp_el1)                                                                                  \
	X(elr_el1)                                                                                 \
	X(spsr_el1)                                                                                \
	X(esr_el1)                                                                                 \
	X(far_el1)                                                                                 \
	X(afsr0_el1)                                                                               \
	X(afsr1_el1)                                                                               \
	X(par_el1)                                                                                 \
	X(csselr_el1)                                                                              \
	X(cntkctl_el1)                                                                             \
	X(mdscr_el1)                                                                               \
	X(actlr_el1)                                                                               \
	X(vmpidr_el2)                                                                              \
	X(vttbr_el2)                                                                               \
	X(hcr_el2)                                                                                 \
	X(mdcr_el2)                                                                                \
	X(cnthctl_el2)                                                                             \
	X(ICH_VMCR_EL2)                                                                            \
	X(ICH_AP0R0_EL2)                                                                           \
	X(ICH_AP1R0_EL2)                                                                           \
	X(ICH_HCR_EL2)                                                                             \
	X(cntv_cval_el0)                                                                           \
	X(cntv_ctl_el0)

enum sysreg {
#define X(r) SYS_##r,
	SYSREGS(X)
#undef X
		SYS_N
};

struct fp_state {
	uint64_t v[66];
} __attribute__((aligned(16)));

struct world {
	struct frame frame;
	uint64_t sys[SYS_N];
	struct fp_state fp;
};

enum mmio_pending { MMIO_NONE, MMIO_READ, MMIO_WRITE };

/**
 * struct vcpu - a virtual CPU
 * @cpu: the CPU that runs it, or -1
 * @home: CPU with the EL2 timer that wakes it while blocked, or -1
 * @last_cpu: the CPU that ran it last, or -1; elsewhere translations may be stale
 * @off: not started, or CPU_OFF
 * @blocked: left by WFI; @woken: its wake-up virq was pended since then
 * @mmio, @mmio_esr: an access that the next run completes
 * @overflow: more interrupts than list registers
 * @enabled, @pending, @active: of SGIs and PPIs; active also of the SPIs that it took
 * @routed: SPIs that are routed to it
 * @in_lr: interrupts in a list register while it runs
 */
struct vcpu {
	struct world world;
	struct vm *vm;
	unsigned int index;
	int cpu;
	int home;
	int last_cpu;
	bool off;
	bool blocked;
	bool woken;
	bool overflow;
	enum mmio_pending mmio;
	uint64_t mmio_esr;
	uint32_t enabled;
	uint32_t pending;
	uint32_t icfgr1;
	uint32_t waker;
	uint32_t active[SPI_WORDS];
	uint32_t routed[SPI_WORDS];
	uint32_t in_lr[SPI_WORDS];
};

/**
 * struct vm - a guest
 * @ended: by itself or killed: no vCPU executes any more
 * @ended_by: the vCPU that ended the VM: its runs return @end_state, @end_data until RM kills it;
 *            NULL: none. The other vCPUs are off for good at once
 * @enabled, @pending, @level: SPIs; @level lines stay high until they are lowered
 */
struct vm {
	bool used;
	bool ended;
	unsigned int slot;
	uint16_t vmid;
	unsigned int n_vcpus;
	uint64_t gicd;
	uint64_t gicr;
	uint64_t *s2;
	const struct vcpu *ended_by;
	uint64_t end_state;
	uint64_t end_data[2];
	uint32_t gicd_ctlr;
	uint32_t enabled[SPI_WORDS];
	uint32_t pending[SPI_WORDS];
	uint32_t level[SPI_WORDS];
	uint32_t icfgr[SPI_WORDS * 2];
	uint64_t irouter[SPI_WORDS * 32];
	struct vcpu vcpus[MODEL_VCPUS_MAX];
};

struct cpu_slot {
	uint64_t entry;
	uint64_t context;
};

/**
 * struct cpu - a physical CPU
 * @in_el2: set before waiting for the lock: no guest runs here
 * @current: the vCPU that runs here, or NULL: the primary
 * @last: the vCPU that ran here last
 */
struct cpu {
	unsigned int id;
	bool online;
	volatile bool in_el2;
	struct vcpu *current;
	struct vcpu *last;
	struct world primary;
	struct cpu_slot slot;
};

extern struct cpu cpus[CPUS_MAX];
extern struct vm vms[MODEL_VMS_MAX];
extern struct model *model;

static inline struct cpu *this_cpu(void)
{
	return &cpus[sysreg_read(mpidr_el1) & 0xff];
}

/* start.S */
void fp_save(struct fp_state *f);
void fp_load(const struct fp_state *f);
void smc_call(uint64_t x[4]);
void secondary_entry(void);

/**
 * struct machine - what QEMU and the command line say (boot.c)
 * @ram_end: of the primary, from LINUX_ADDR
 * @strict: end QEMU when the primary touches a lent page
 * The rest is as in struct model_config.
 */
struct machine {
	uint64_t ram_end;
	unsigned int cpus;
	bool strict;
	bool production;
	bool presplit_quirk;
	bool late_stop;
	bool scm;	 /* Qualcomm's secure firmware (memory/scm.c), with its node in the tree */
	bool rx_unready; /* RM rx's interrupt controller has no driver */
	uint64_t delay_ns;
	uint64_t seed;
};
extern struct machine machine;

/* cpu.c */
void cpu_init(struct frame *f, uint64_t pc, uint64_t x0);

/* memory/stage2.c: leaf attributes are S2_*; a leaf of 0 unmaps */
#define S2_VALID 1ul
#define S2_NORMAL (0xful << 2 | 3ul << 8)
#define S2_DEVICE (1ul << 2)
#define S2_AF (1ul << 10)
#define S2_READ (1ul << 6)
#define S2_WRITE (1ul << 7)
#define S2_XN (1ul << 54)
#define S2_RW (S2_READ | S2_WRITE)
extern uint64_t *s2_primary;
void s2_pool_init(uint64_t first, uint64_t end);
int s2_primary_init(void);
uint64_t *s2_new(void);
void s2_free(uint64_t *root);
int s2_set(uint64_t *root, uint64_t ipa, uint64_t len, uint64_t leaf);
bool s2_mapped(const uint64_t *root, uint64_t ipa);
uint64_t s2_rights(unsigned int rights);
void s2_flush(void);

/* vcpu/switch.c */
void sysregs_save(uint64_t *sys);
void sysregs_load(const uint64_t *sys);

/* vcpu/vcpu.c */
enum run_state {
	RUN_READY = 0,
	RUN_EXPECTS_WAKEUP = 1,
	RUN_POWERED_OFF = 2,
	RUN_MMIO_READ = 4,
	RUN_MMIO_WRITE = 5,
	RUN_FAULT = 6,
	RUN_RESET = 0x100,
};
void vcpu_power_on(struct vcpu *v, uint64_t pc, uint64_t x0);
void vcpu_set_registers(struct vcpu *v, const struct model_registers *registers);
void vcpu_run(struct frame *f, struct vcpu *v, uint64_t resume);
void vcpu_leave(struct frame *f, enum run_state state, const uint64_t data[3]);
void vcpu_leave_ended(struct frame *f);
void vcpu_put_register(struct frame *f, uint64_t esr, uint64_t value);
void vcpu_block(struct frame *f, uint64_t cause);
bool vcpu_runnable(const struct vcpu *v);
void vcpu_notice(struct vcpu *v);
void vcpu_wake(struct vcpu *v);
void vm_end(struct vcpu *by, enum run_state state, uint64_t data0, uint64_t data1);
void vm_kill(struct vm *vm);
void vm_stop_all(struct vm *vm);
bool vm_busy(const struct vm *vm);

/* vcpu/vgic.c */
void vgic_reset(struct vm *vm);
void vgic_save(struct vcpu *v);
void vgic_load(struct vcpu *v);
bool vgic_has_pending(const struct vcpu *v);
void vgic_set_spi(struct vm *vm, unsigned int intid, bool edge, bool level);
void vgic_send_sgi(struct vcpu *from, uint64_t sgi1r);
bool vgic_access(struct vcpu *v, uint64_t ipa, bool write, uint64_t *value);
void vgic_limit_lrs(unsigned int n);

/* vcpu/timer.c */
void timer_prog(void);
void timer_expired(void);
bool timer_due(const struct vcpu *v);
void timer_work_at(uint64_t ns);
void timer_move(struct cpu *from);
uint64_t timer_ns(void);

/* virq.c */
void virq_pend(uint32_t intid);
void virq_clear(uint32_t intid);
void virq_own(void);
void virq_kick(unsigned int cpu);
void virq_primary_sgi(uint64_t esr, struct frame *f);
void virq_fiq(struct frame *f);
void virq_guest_irq(struct frame *f);

/* memory/scm.c: without scm_init() there is no such firmware */
enum scm_refusal { SCM_REFUSE_NONE, SCM_REFUSE_BEFORE, SCM_REFUSE_AFTER };
void scm_init(uint64_t memory, uint64_t *ret_end);
void scm_tell(bool tell); /* only then does it restrict anyone */
/* Answer @status instead of doing it, or after it is done: once, after @skip others. */
void scm_refuse(enum scm_refusal kind, int32_t status, unsigned int skip);
unsigned int scm_allows(uint64_t pa, bool guest); /* rights as of parcels */
bool scm_primary(struct frame *f);		  /* false: no call to it */

/* vcpu/psci.c */
void psci_primary(struct frame *f);
bool psci_guest(struct frame *f, struct vcpu *v);

/* trap.c */
void trap(struct frame *f, uint64_t kind);
void trap_own(struct frame *f, uint64_t kind) __attribute__((noreturn));
void trap_abort(struct frame *f, uint64_t esr, uint64_t far);
void lock(void);
void unlock(void);

/* memory/mem.c */
void *mem_ram(uint64_t pa, uint64_t len);
int mem_copy_in(void *dst, uint64_t va, uint64_t len);
int mem_copy_out(uint64_t va, const void *src, uint64_t len);

/* host.c */
void host_init(uint64_t arena, uint64_t *ret_end);
void host_hypercall(struct frame *f);
void host_guest_hypercall(struct frame *f, struct vcpu *v);
void host_guest_ended(struct vm *vm, unsigned int type, const uint32_t *reason, unsigned int n);
void host_work(void);
uint32_t host_vcpu_virq(const struct vcpu *v);
void host_knob(uint64_t offset, uint64_t value);

/* log.c */
void log_line(const char *line);
void log_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_counters(void);
void log_exit(uint64_t esr, uint64_t elr);
void panic(const char *why, const struct frame *f) __attribute__((noreturn));
void machine_exit(unsigned int status) __attribute__((noreturn));

static inline uint64_t *counter(enum counter c)
{
	return (uint64_t *)COUNTERS_PA + c;
}

static inline void count(enum counter c)
{
	++*counter(c);
}
