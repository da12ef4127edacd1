/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One VM in the hypervisor: executes a plan step by step, and undoes it in reverse.
 *
 * Thread: one at a time. All calls block, with deadlines (rm/rpc.h). A failed start undoes itself
 * before it returns; what could not be undone stays guarded, is named in the error, and goes to
 * the module's quarantine when the machine is freed.
 */
#pragma once

#include "ghvm/api.h"
#include "ghvm/error.h"
#include "ghvm/host.h"
#include "ghvm/plan.h"
#include "ghvm/rm.h"
#include "ghvm/types.h"
#include "ghvm/vm-state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

GHVM_BEGIN_DECLS

struct ghvm_machine;

/**
 * struct ghvm_machine_files - input files of the steps; all borrowed for the call
 * @memory: a populated memfd for each parcel of the plan, in its order. The machine keeps no
 *          descriptor of lent memory; the caller closes its own in @on_pinned.
 * @kernel: readable from offset 0; @initrd: or -1
 */
struct ghvm_machine_files {
	const int *memory;
	int kernel;
	int initrd;
};

/**
 * struct ghvm_machine_hooks - callbacks during a build; each may be NULL
 * @on_step: before a step
 * @on_pinned: all memory is pinned and all images are written: close every memfd of lent memory
 *             now
 */
struct ghvm_machine_hooks {
	void *data;
	void (*on_step)(void *data, const struct ghvm_plan *plan, size_t step);
	void (*on_pinned)(void *data);
};

/**
 * struct ghvm_machine_vcpu - a vCPU, known after the build
 * @virq: its wake-up virq
 */
struct ghvm_machine_vcpu {
	struct ghvm_capid cap;
	struct ghvm_virq virq;
};

/**
 * struct ghvm_machine_doorbell - a doorbell from the host to the guest
 */
struct ghvm_machine_doorbell {
	uint32_t label;
	struct ghvm_capid cap;
};

/**
 * ghvm_machine_new() - an empty machine
 * @host: borrowed; @rm: borrowed; @plan: borrowed; all outlive the machine
 * @incarnation: random, not 0; identifies this run in tags and grants
 * @ret: owned, ghvm_machine_free()
 */
int ghvm_machine_new(struct ghvm_host *host, struct ghvm_rm *rm, const struct ghvm_plan *plan,
		     uint64_t incarnation, struct ghvm_machine **ret);

/*
 * Before build() or rebuild(): whether this hypervisor needs SHARE before LEND (decision 11); true
 * by default.
 */
void ghvm_machine_set_presplit(struct ghvm_machine *m, bool presplit);

/* Close all files; guarded pages go to the quarantine. Accepts NULL. Sends nothing to RM. */
void ghvm_machine_free(struct ghvm_machine *m);
void ghvm_machine_freep(struct ghvm_machine **m);

/**
 * ghvm_machine_build() - execute all steps up to GRANT; the VM is READY afterwards
 *
 * Return: 0, or the error of the failed step, which ghvm_machine_step() returns. Everything was
 * undone, except ghvm_machine_quarantined() pages. -EBUSY: the machine has a VM, or remains of
 * one.
 */
int ghvm_machine_build(struct ghvm_machine *m, const struct ghvm_machine_files *files,
		       const struct ghvm_machine_hooks *hooks, struct ghvm_error *err);

/* VM_START. After 0 the vCPUs may run. After a failure everything was undone as above. */
int ghvm_machine_start(struct ghvm_machine *m, struct ghvm_error *err);

/**
 * ghvm_machine_teardown() - stop the VM and take everything back
 *
 * Revokes the grant, STOP(force) unless it has exited, RESET, RECLAIM of every parcel (sanitising
 * lent ones), unguard, unpin, DEALLOCATE. Works from every state, also after a failed build; a
 * further call retries what failed.
 *
 * Return: 0, everything is back; negative: ghvm_machine_quarantined() pages are still guarded, or
 * RM did not take the VMID back; all other memory is unpinned.
 */
int ghvm_machine_teardown(struct ghvm_machine *m, struct ghvm_error *err);

/**
 * ghvm_machine_rebuild() - reboot in place: new VMID, same pinned pages (decision 12)
 *
 * Called after the VM ended. As build() from ALLOCATE on, without PIN; the VM is READY
 * afterwards. After a failure everything was undone as above, including remains of the previous
 * run.
 */
int ghvm_machine_rebuild(struct ghvm_machine *m, const struct ghvm_machine_files *files,
			 const struct ghvm_machine_hooks *hooks, struct ghvm_error *err);

/**
 * ghvm_machine_on_notify() - pass a notification to the machine
 * Thread: the dispatcher's, concurrently with other functions.
 * Return: true if it was for this machine.
 */
bool ghvm_machine_on_notify(struct ghvm_machine *m, const struct ghvm_rm_notification *n);

/*
 * 1 and the exit type once VM_EXITED or GET_STATE told of the end; 0: not yet. Kept by teardown()
 * until the machine has another VM. Thread: any.
 */
int ghvm_machine_exited(const struct ghvm_machine *m, enum ghvm_exit_type *ret);

/*
 * Take the message that the last guest of this machine has left with RM, as a kernel does that panics.
 * teardown() and rebuild() ask for it, before RM forgets it. It is printable.
 *
 * Return: true, once for each message. Thread: as build().
 */
bool ghvm_machine_take_crash_message(struct ghvm_machine *m, char ret[GHVM_CRASH_MESSAGE_SIZE]);

/*
 * True unless the guest was never started, or RM has said that it has EXITED, is RESET or gone.
 * Thread: as build().
 */
bool ghvm_machine_may_run(const struct ghvm_machine *m);

struct ghvm_vmid ghvm_machine_vmid(const struct ghvm_machine *m);
enum ghvm_step_kind ghvm_machine_step(const struct ghvm_machine *m);
const struct ghvm_machine_vcpu *ghvm_machine_vcpus(const struct ghvm_machine *m, size_t *ret_n);
const struct ghvm_machine_doorbell *ghvm_machine_doorbells(const struct ghvm_machine *m,
							   size_t *ret_n);
/* The grant file, borrowed until teardown() or rebuild(); duplicate it to pass it on. -1: none. */
int ghvm_machine_grant(const struct ghvm_machine *m);
/* SGL entries of a parcel, by the plan's index; 0: not pinned. */
uint64_t ghvm_machine_entries(const struct ghvm_machine *m, size_t parcel);
/* ghvm_parcel_huge() of a parcel, by the plan's index. */
uint64_t ghvm_machine_huge(struct ghvm_machine *m, size_t parcel);
uint64_t ghvm_machine_pages_lent(const struct ghvm_machine *m);
uint64_t ghvm_machine_pages_shared(const struct ghvm_machine *m);
/* Pages still guarded after a failed teardown, also that of a dead process. */
uint64_t ghvm_machine_quarantined(const struct ghvm_machine *m);
/* True if the last teardown failed: RM may still have the VM, even if no pages are left. */
bool ghvm_machine_undo_failed(const struct ghvm_machine *m);

GHVM_END_DECLS
