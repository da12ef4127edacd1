/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters that tests in the primary read, and knobs that they turn, through /dev/mem.
 *
 * The device tree has both pages as no-map /reserved-memory nodes, compatible
 * "ghvm,model-counters" and "ghvm,model-knobs". Counters are an array of little-endian
 * 64-bit words. Knobs are write-only 32-bit registers.
 */
#pragma once

#define COUNTERS_PA 0x40fff000ul
#define KNOBS_PA 0x40ffe000ul
#define COUNTERS_MAGIC 0x314c45444f4d4748ul /* "HGMODEL1" */

#define COUNTERS(X)                                                                                \
	X(magic)                                                                                   \
	X(lent_faults) /* the primary touched what it had lent: must stay 0 */                     \
	X(vms)                                                                                     \
	X(parcels)                                                                                 \
	X(entries)                                                                                 \
	X(lent_pages)                                                                              \
	X(virqs)                                                                                   \
	X(rm_calls)                                                                                \
	X(rm_heap)                                                                                 \
	X(rm_dead)                                                                                 \
	X(tables_free) /* pages for stage-2 tables */                                              \
	X(runs)	       /* guest entries */                                                         \
	X(exit_irq)                                                                                \
	X(exit_wfi)                                                                                \
	X(exit_mmio)                                                                               \
	X(guest_timer)                                                                             \
	X(guest_sgi)                                                                               \
	X(guest_aborts)                                                                            \
	X(gic_accesses)                                                                            \
	X(sysregs)                                                                                 \
	X(primary_sgi)                                                                             \
	X(fiqs)                                                                                    \
	X(kicks)                                                                                   \
	X(wakes)                                                                                   \
	X(ticks_saved) /* left a guest because the primary's timer was due */                      \
	X(lr_overflows)                                                                            \
	X(tlbi)                                                                                    \
	X(splits)                                                                                  \
	X(break_retries)                                                                           \
	X(guest_hypercalls)                                                                        \
	X(scm_calls)	  /* assignments asked of the secure firmware */                           \
	X(scm_assigned)	  /* pages with other owners than the primary alone, or rights */          \
	X(scm_guest_only) /* pages that the primary does not own */                                \
	X(scm_violations) /* assignments of what RM had: must stay 0 */                            \
	X(scm_denied)	  /* pages that RM mapped with more rights than the firmware: likewise */

enum counter {
#define X(name) COUNTER_##name,
	COUNTERS(X)
#undef X
		COUNTERS_N
};

/* Registers take any value, except where a comment says which. */
enum knob {
	KNOB_KILL_RM = 0x00,  /* RM never answers again */
	KNOB_SKIP = 0x04,     /* number of messages that the next REFUSE or MUTE lets pass first */
	KNOB_STATUS = 0x08,   /* status of the reply that KNOB_REFUSE makes */
	KNOB_REFUSE = 0x0c,   /* message id: refuse it once */
	KNOB_MUTE = 0x10,     /* message id: execute it once, but drop the reply */
	KNOB_EXIT = 0x14,     /* end QEMU with this status */
	KNOB_DUMP = 0x18,     /* log the counters */
	KNOB_LR_LIMIT = 0x1c, /* list registers to use, 1 to 4 */
	KNOB_HOLD_RM = 0x20,  /* 1: RM stops reading its queue; 0: RM reads again */
	KNOB_SCM_REFUSE = 0x24, /* firmware refuses an assignment: 1 undone, 2 done */
	KNOB_DROP_END = 0x28,	/* RM is not notified of the next end of a guest by itself */
	KNOB_SCM = 0x2c, /* 1: secure firmware tells that it is Qualcomm's, and restricts; 0: not */
	KNOB_FOREIGN = 0x30,	/* 1: the hypervisor tells that it is KVM; 0: not */
	KNOB_GENERATION = 0x34, /* messages that RM knows: 1 of android14, 2 of v17, 0 of neither */
};
