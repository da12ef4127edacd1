/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One VM in the hypervisor: executes a plan step by step, undoes it in reverse.
 *
 * Thread: one at a time. Everything blocks with deadlines (libghvm/rm/rpc.h). A failed start has
 * undone itself when it returns; what could not be undone stays guarded, is said in
 * the error, and goes to the module's quarantine when the machine is freed.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/host.h"
#include "ghvm/plan.h"
#include "libghvm/memory/ledger.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/memory/tag.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stdint.h>

struct ghvm_machine;

/**
 * struct ghvm_machine_files - what the steps read; all borrowed for the call
 * @memory: a populated memfd for each parcel of the plan, in its order. Of lent
 *          parcels the machine keeps none; the caller closes them before GUARD by
 *          @on_pinned
 * @kernel: readable from offset 0; @initrd: or -1
 */
struct ghvm_machine_files {
	const int *memory;
	int kernel;
	int initrd;
};

/**
 * struct ghvm_machine_hooks - calls back during a build; each may be NULL
 * @on_step: before a step
 * @on_pinned: all pins are made and images written: close every memfd of lent memory now
 */
struct ghvm_machine_hooks {
	void *data;
	void (*on_step)(void *data, const struct ghvm_plan *plan, size_t step);
	void (*on_pinned)(void *data);
};

/**
 * struct ghvm_machine_vcpu - a vCPU after the build
 * @virq: its wake-up virq
 */
struct ghvm_machine_vcpu {
	struct ghvm_capid cap;
	struct ghvm_virq virq;
};

/**
 * struct ghvm_machine_doorbell - a doorbell that the guest receives
 */
struct ghvm_machine_doorbell {
	uint32_t label;
	struct ghvm_capid cap;
};

/**
 * ghvm_machine_new() - an empty machine
 * @host: borrowed; @rm: borrowed; @plan: borrowed; all outlive the machine
 * @incarnation: random, not 0; names this run in tags and grants
 * @ret: owned, ghvm_machine_free()
 */
int ghvm_machine_new(struct ghvm_host *host, struct ghvm_rm *rm, const struct ghvm_plan *plan,
		     uint64_t incarnation, struct ghvm_machine **ret);

/*
 * Before build(): the host's accounts, borrowed, outlive the machine. All machines of a
 * host share one; without it the machine keeps its own.
 */
void ghvm_machine_set_ledger(struct ghvm_machine *m, struct ghvm_ledger *ledger);

/* Before build() or rebuild(): this hypervisor needs SHARE before LEND (decision 11). */
void ghvm_machine_set_presplit(struct ghvm_machine *m, bool presplit);

/* How long teardown() waits for an exit, and for a reset; default 10 s. */
void ghvm_machine_set_patience(struct ghvm_machine *m, unsigned int ms);

/* Closes what is left; guarded pages go to the quarantine. Accepts NULL. Calls no RM. */
void ghvm_machine_free(struct ghvm_machine *m);
void ghvm_machine_freep(struct ghvm_machine **m);

/**
 * ghvm_machine_build() - every step up to GRANT: the VM is READY afterwards
 *
 * Return: 0, or the error of the step that failed, its text prefixed by nothing:
 * ghvm_machine_step() says where. Everything was undone, or see ghvm_machine_quarantined().
 * -EBUSY: it has a VM, or what a teardown has left of one.
 */
int ghvm_machine_build(struct ghvm_machine *m, const struct ghvm_machine_files *files,
		       const struct ghvm_machine_hooks *hooks, struct ghvm_error *err);

/* VM_START. The vCPUs may run when this has returned 0. On failure: undone as above. */
int ghvm_machine_start(struct ghvm_machine *m, struct ghvm_error *err);

/**
 * ghvm_machine_teardown() - stop if running, and give everything back
 *
 * Revokes the grant, STOP(force) unless it has exited, RESET, RECLAIM of every parcel
 * (sanitising lent ones), unguard, unpin, DEALLOCATE. Right in every state, also after
 * a failed build; calling it again retries what failed.
 *
 * Return: 0 all is back; negative: ghvm_machine_quarantined() pages are still guarded, or RM
 * has not taken its VMID back; what is ours again is unpinned.
 */
int ghvm_machine_teardown(struct ghvm_machine *m, struct ghvm_error *err);

/**
 * ghvm_machine_rebuild() - reboot in place: new VMID, same pinned pages (decision 12)
 *
 * After the VM ended. As build() from ALLOCATE on, without PIN; READY afterwards. On failure:
 * undone as above, also what was left of the life before.
 */
int ghvm_machine_rebuild(struct ghvm_machine *m, const struct ghvm_machine_files *files,
			 const struct ghvm_machine_hooks *hooks, struct ghvm_error *err);

/**
 * ghvm_machine_on_notify() - tell the machine of a VM_EXITED or VM_STATUS
 * Thread: the dispatcher's; the only function that may run beside another.
 * Return: true if it was for this machine.
 */
bool ghvm_machine_on_notify(struct ghvm_machine *m, const struct ghvm_rm_notification *n);

/*
 * VM_EXITED came (or GET_STATE said so): 1 and the type; 0 not yet. Thread:
 * any. Kept by teardown(), until the machine has another VM.
 */
int ghvm_machine_exited(const struct ghvm_machine *m, enum ghvm_exit_type *ret);

/*
 * May its guest still run? Not if it never did, or RM has said that it has EXITED, is RESET or
 * gone. Thread: as build().
 */
bool ghvm_machine_may_run(const struct ghvm_machine *m);

struct ghvm_vmid ghvm_machine_vmid(const struct ghvm_machine *m);
uint64_t ghvm_machine_incarnation(const struct ghvm_machine *m);
enum ghvm_step_kind ghvm_machine_step(const struct ghvm_machine *m);
const struct ghvm_machine_vcpu *ghvm_machine_vcpus(const struct ghvm_machine *m, size_t *ret_n);
const struct ghvm_machine_doorbell *ghvm_machine_doorbells(const struct ghvm_machine *m,
							   size_t *ret_n);
/* The grant file, borrowed until teardown or rebuild; dup to pass on. -1: none. */
int ghvm_machine_grant(const struct ghvm_machine *m);
/* SGL entries of a parcel, by the plan's index; 0: it is not pinned. */
uint64_t ghvm_machine_entries(const struct ghvm_machine *m, size_t parcel);
/* As ghvm_parcel_huge(), likewise. */
uint64_t ghvm_machine_huge(struct ghvm_machine *m, size_t parcel);
uint64_t ghvm_machine_pages_lent(const struct ghvm_machine *m);
uint64_t ghvm_machine_pages_shared(const struct ghvm_machine *m);
/* Pages that are still guarded after a teardown that failed, also that of a dead process. */
uint64_t ghvm_machine_quarantined(const struct ghvm_machine *m);
/* Has it failed, and was not repeated since? Then RM may still have a VM of it, also without pages. */
bool ghvm_machine_undo_failed(const struct ghvm_machine *m);

/* ---- what a dead process has left ---- */

/**
 * struct ghvm_orphan - a guarded pin in the module's quarantine
 * @id: for GHVM_QUARANTINE_ADOPT
 * @readable: its tag is whole, and no other one contradicts it; else nobody knows whose the
 *     pages are, and they stay
 * @disputed: another tag names the same handle, and this one is not sure of it
 * @flaw: if not @readable: what is wrong with the tag; static
 * @tag: zero if it is not whole; without the handle, if that is @disputed
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
 * ghvm_orphans_list() - the quarantine, sorted by VMID, those without a readable tag last
 * @ret: owned by the caller, free(); *ret_n of them
 *
 * Tags of one VMID that are of different lives, that have one label twice, or one handle anywhere
 * twice, contradict each other: one of them lies, and it does not say which.
 *
 * If one is not readable, or cannot be adopted, tell the host's ledger so before anything is torn
 * down: ghvm_ledger_distrust().
 */
int ghvm_orphans_list(struct ghvm_host *host, struct ghvm_orphan **ret, size_t *ret_n,
		      struct ghvm_error *err);

/**
 * ghvm_machine_adopt() - a machine from its orphans
 * @ledger: the host's; all orphans must be adopted before anything is started, torn down or
 *     carried on, since handles and VMIDs of the others must be known then
 * @orphans: all those of one VMID, readable; not changed
 * @plan: borrowed, what it was built from; NULL, or not fitting: it cannot be rebuilt
 * @ret: owned; then ghvm_machine_carry_on() or ghvm_machine_teardown()
 *
 * Return: 0; -ENOSPC; -EINVAL not of one life of a VM that RM can have made, or of parcels that
 * are known already; host's errno. On failure the orphans are back in the quarantine.
 */
int ghvm_machine_adopt(struct ghvm_host *host, struct ghvm_rm *rm, struct ghvm_ledger *ledger,
		       const struct ghvm_plan *plan, const struct ghvm_orphan *orphans, size_t n,
		       struct ghvm_machine **ret, struct ghvm_error *err);

/**
 * ghvm_machine_strays() - VMIDs that RM knows and nobody here has
 * @ret: room for GHVM_VMIDS; *ret_n of them
 *
 * After every orphan was adopted: killed between ALLOCATE and the first guard, a process
 * leaves nothing else. While there are orphans without a readable tag, a stray may be theirs.
 */
#define GHVM_VMIDS GHVM_LEDGER_VMIDS
int ghvm_machine_strays(struct ghvm_rm *rm, struct ghvm_ledger *ledger,
			struct ghvm_vmid ret[GHVM_VMIDS], size_t *ret_n, struct ghvm_error *err);

/* A machine of a stray, to be torn down. */
int ghvm_machine_adopt_stray(struct ghvm_host *host, struct ghvm_rm *rm, struct ghvm_ledger *ledger,
			     struct ghvm_vmid vmid, struct ghvm_machine **ret);

/* Is it of a plan, so that it can be rebuilt? An adopted one may not be. */
bool ghvm_machine_planned(const struct ghvm_machine *m);

/* Where RM says that it stands; GHVM_VM_NONE: it has no VM. */
int ghvm_machine_status(struct ghvm_machine *m, enum ghvm_vm_status *ret, struct ghvm_error *err);

/**
 * ghvm_machine_carry_on() - an adopted machine whose guest runs: go on as after start()
 *
 * Its vCPUs and doorbells are known again; the grant is the runner's, ghvm_machine_grant() is
 * -1, and teardown() still revokes it. A half-added parcel is undone.
 *
 * Return: 0; -ESTALE it does not run: tear it down.
 */
int ghvm_machine_carry_on(struct ghvm_machine *m, struct ghvm_error *err);
