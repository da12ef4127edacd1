/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a dead process has left: its guarded pages and the VMs of which the resource manager still
 * knows, made into machines again. And the accounts that all machines of a host share.
 */
#pragma once

#include "ghvm/machine.h"
#include "libghvm/memory/ledger.h"
#include "libghvm/memory/tag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Before build(): set the host's ledger, which is borrowed and outlives the machine. All machines
 * of a host share one; by default a machine has its own.
 */
void ghvm_machine_set_ledger(struct ghvm_machine *m, struct ghvm_ledger *ledger);

/**
 * struct ghvm_orphan - a guarded pin in the module's quarantine
 * @id: for GHVM_QUARANTINE_ADOPT
 * @readable: its tag is intact and no other tag contradicts it; otherwise the owner of the pages
 *            is unknown, and they stay in the quarantine
 * @disputed: another tag has the same handle, and this one is not sure of it
 * @flaw: what is wrong with the tag if not @readable; static
 * @tag: zero if not intact; without the handle if @disputed
 */
struct ghvm_orphan {
	uint64_t id;
	uint64_t pages;
	bool readable;
	bool disputed;
	const char *flaw;
	struct ghvm_tag tag;
};

/**
 * ghvm_orphans_list() - list the quarantine, by VMID, unreadable tags last
 * @ret: owned by the caller, free(); *ret_n of them
 *
 * Tags contradict each other if they have the same VMID and different runs, or the same label
 * twice, or if any two have the same handle: one of them is wrong, and it is unknown which.
 *
 * If an orphan is not readable or cannot be adopted, call ghvm_ledger_distrust() of the host's
 * ledger before anything is torn down.
 */
int ghvm_orphans_list(struct ghvm_host *host, struct ghvm_orphan **ret, size_t *ret_n,
		      struct ghvm_error *err);

/**
 * ghvm_machine_adopt() - create a machine from its orphans
 * @ledger: the host's; adopt all orphans before anything is started, torn down or resumed, since
 *          their handles and VMIDs must be known then
 * @orphans: all those of one VMID, readable; not changed
 * @plan: borrowed, the plan it was built from; NULL or not matching: it cannot be rebuilt
 * @ret: owned; then ghvm_machine_carry_on() or ghvm_machine_teardown()
 *
 * Return: 0; -ENOSPC; -EINVAL the orphans are not of one run of a VM that RM can have created, or
 * their parcels are known already; host's errno. On failure the orphans are back in the
 * quarantine.
 */
int ghvm_machine_adopt(struct ghvm_host *host, struct ghvm_rm *rm, struct ghvm_ledger *ledger,
		       const struct ghvm_plan *plan, const struct ghvm_orphan *orphans, size_t n,
		       struct ghvm_machine **ret, struct ghvm_error *err);

/**
 * ghvm_machine_strays() - list VMIDs that RM knows and that are not in use here
 * @ret: array of GHVM_VMIDS, of which *ret_n are set
 *
 * Call it after all orphans were adopted. A process killed between ALLOCATE and the first guard
 * leaves only a stray VMID. RM is asked about those of its usual range, and those that
 * were noted (ghvm_ledger_vmid_note()). While there are orphans without a readable tag, a stray VMID may be
 * theirs.
 */
#define GHVM_VMIDS GHVM_LEDGER_VMIDS
int ghvm_machine_strays(struct ghvm_rm *rm, struct ghvm_ledger *ledger,
			struct ghvm_vmid ret[GHVM_VMIDS], size_t *ret_n, struct ghvm_error *err);

/* Create a machine for a stray VMID, to be torn down. */
int ghvm_machine_adopt_stray(struct ghvm_host *host, struct ghvm_rm *rm, struct ghvm_ledger *ledger,
			     struct ghvm_vmid vmid, struct ghvm_machine **ret);

/* As given to ghvm_machine_new(), or found in the tags of the orphans. */
uint64_t ghvm_machine_incarnation(const struct ghvm_machine *m);

/* True if the machine has a plan and can be rebuilt; an adopted one may have none. */
bool ghvm_machine_planned(const struct ghvm_machine *m);

/*
 * If the plan shares RAM, and build() or start() fails because RM refuses that, leave the VM as it is.
 * ghvm_machine_share_refused() is true then, and either rebuild() follows, after ghvm_plan_lend_ram(), or
 * teardown(). Before build().
 */
void ghvm_machine_try_share(struct ghvm_machine *m);
bool ghvm_machine_share_refused(const struct ghvm_machine *m);

/* After build() or carry_on(): RM has given the guest a watchdog. */
bool ghvm_machine_watched(const struct ghvm_machine *m);

/* Ask RM for the VM's state; GHVM_VM_NONE: the machine has no VM. */
int ghvm_machine_status(struct ghvm_machine *m, enum ghvm_vm_status *ret, struct ghvm_error *err);

/**
 * ghvm_machine_carry_on() - resume an adopted machine with a running guest
 *
 * Queries its vCPUs and doorbells. The runner keeps the grant: ghvm_machine_grant() is -1, and
 * teardown() revokes it. A parcel that was not completely added is undone.
 *
 * Return: 0; -ESTALE the guest does not run: tear it down.
 */
int ghvm_machine_carry_on(struct ghvm_machine *m, struct ghvm_error *err);
