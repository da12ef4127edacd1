/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Internal interfaces of the module.
 *
 * Locks, outermost first: a pin's lock, ghvm_guard_lock. A call of a grant is counted, not locked; it
 * may take ghvm_irq_lock.
 */
#ifndef _GHVM_PRIV_H
#define _GHVM_PRIV_H

#include <linux/arm-smccc.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/of.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ghvm_compat.h"
#include "ghvm_pure.h"

/**
 * struct ghvm_hyp - the hypervisor, detected at load; constant afterwards
 * @obstacle: GHVM_OBSTACLE_*, but of a driver; if not 0 only @uid and @identify may be valid
 * @node: node of the resource manager, referenced
 * @rm_irq: Linux numbers of its TX and RX virqs, 0 for none; by GHVM_IRQ_RM_*
 */
struct ghvm_hyp {
	u32 obstacle;
	struct device_node *node;
	u32 uid[4];
	u64 identify[4];
	u64 rm_tx_capid;
	u64 rm_rx_capid;
	int rm_irq[3];
};

extern struct ghvm_hyp ghvm_hyp;

/* Bindings of one file; guarded by ghvm_irq_lock. */
struct ghvm_irqs {
	struct list_head list;
};

/**
 * struct ghvm_op - an entry of a file's ioctl table
 * @cmd: from the ABI, with the size of the structure known to the module
 * @min: size of the structure's first version, the minimum
 * @run: called with the file's private data and a copy of the structure, zero beyond the size
 *       that user space passed; the copy goes back if @cmd is a read
 */
struct ghvm_op {
	unsigned int cmd;
	unsigned int min;
	long (*run)(void *priv, void *arg);
};

/* @last: the last field of the first version */
#define GHVM_OP(cmd, type, last, run)                                                              \
	{                                                                                          \
		cmd, offsetofend(struct type, last), run                                           \
	}

#define GHVM_ARG_MAX 192

/* ghvm_file.c. Functions of (priv, p) are ioctls of /dev/ghvm, for its table in ghvm_main.c. */
long ghvm_ioctl(void *priv, const struct ghvm_op *ops, size_t n, unsigned int cmd, void __user *p);

/**
 * ghvm_file_new() - create an anonymous file, close-on-exec
 * @priv: its private data; owned by the file on success
 * @ret: for fd_install(), which must be the last step of an ioctl
 *
 * Return: the descriptor reserved for it, or a negative errno.
 */
int ghvm_file_new(const char *name, const struct file_operations *fops, void *priv,
		  struct file **ret);

/* ghvm_hvc.c */
u32 ghvm_hvc_probe(struct ghvm_hyp *hyp); /* Return: 0, or GHVM_OBSTACLE_* */
bool ghvm_smc_is_qualcomm(u32 fn);	  /* @fn: SMC function that returns a UID */
void ghvm_hvc_plain(struct ghvm_hcall *call);
long ghvm_hvc_queue(struct ghvm_irqs *irqs, struct ghvm_hcall *call);

/* ghvm_irq.c */
int ghvm_irq_probe(struct ghvm_hyp *hyp);
void ghvm_irq_done(struct ghvm_hyp *hyp);
void ghvm_irqs_done(struct ghvm_irqs *irqs);
long ghvm_irqs_set(void *irqs, void *p); /* GHVM_IRQ */

/**
 * ghvm_irqs_rm_begin() - lock the resource manager's queues
 *
 * Return: 0, locked until ghvm_irqs_rm_end(); -EPERM @irqs has not bound RM rx.
 */
int ghvm_irqs_rm_begin(struct ghvm_irqs *irqs);
void ghvm_irqs_rm_end(void);

/* ghvm_pin.c */
/**
 * struct ghvm_away - what of a pin is assigned away in secure firmware
 * @n: number of extents, from the first
 * @owners: bit mask of the VMIDs that own these, or may
 */
struct ghvm_away {
	u64 n;
	u64 owners;
};

/**
 * struct ghvm_pin_file - a pin, with or without a file
 * @node: in the quarantine, rising by @id; guarded by ghvm_guard_lock
 * @id: never reused
 * @length: bytes
 * @extents: physical pages
 * @mm: the mm that counts it in VmPin: of the process that pinned it, then of the adopter
 * @payer: credentials of the charged user, referenced; NULL: not charged
 * @readonly: pinned by GHVM_PIN_READONLY
 * @lock: taken before ghvm_guard_lock
 * @state: GHVM_PIN_HELD or GHVM_PIN_GUARDED
 * @writers: pwrites in progress
 * @away: what is assigned away
 * @tag: set by user space
 */
struct ghvm_pin_file {
	struct list_head node;
	u64 id;
	u64 length;
	struct ghvm_extents extents;
	struct mm_struct *mm;
	const struct cred *payer;
	bool readonly;

	struct mutex lock; /* guards the following members */
	u32 state;
	u32 writers;
	struct ghvm_away away;
	u8 tag[GHVM_TAG_SIZE];
};

long ghvm_pin(void *priv, void *p);
/* Count @pin in VmPin of @mm, and no longer in that of another process. */
void ghvm_pin_move_vmpin(struct ghvm_pin_file *pin, struct mm_struct *mm);
extern const struct file_operations ghvm_pin_fops;

/* ghvm_pages.c */
/* What fails leaves the pages pinned so far in @pin->extents. */
int ghvm_pages_pin(struct ghvm_pin_file *pin, const struct ghvm_pin *arg);
void ghvm_pages_unpin(struct ghvm_pin_file *pin);

struct ghvm_move; /* ghvm_qcom.c */

/**
 * ghvm_pin_assign() - assign the extents of a guarded pin, which stays guarded meanwhile
 * @file: any file; verified to be a pin file
 *
 * Return: result of ghvm_qcom_move(); -EINVAL not a pin file; -EBUSY not guarded.
 */
int ghvm_pin_assign(struct file *file, const struct ghvm_move *m);

/* ghvm_quarantine.c */
int ghvm_quarantine_init(void);
void ghvm_quarantine_exit(void);
/* Before a pin is guarded, and after it is not any more. -EBUSY: the machine is about to hibernate. */
int ghvm_guard_begin(void);
void ghvm_guard_end(void);
extern u64 ghvm_quarantined; /* pages */
void ghvm_quarantine_add(struct ghvm_pin_file *pin);
long ghvm_quarantine_list(void *priv, void *p);
long ghvm_quarantine_adopt(void *priv, void *p);

/* ghvm_grant.c */
long ghvm_grant(void *priv, void *p);
long ghvm_revoke(void *priv, void *p);

/* ghvm_qcom.c */
void ghvm_qcom_probe(void);
u32 ghvm_qcom_flags(void); /* GHVM_INFO_ASSIGN* */
/* With the pin's lock. @away is right also if it fails. */
int ghvm_qcom_move(const struct ghvm_extents *e, struct ghvm_away *away, const struct ghvm_move *m);
long ghvm_assign(void *priv, void *p);

#endif
