/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One VM in the hypervisor: executes a plan step by step, undoes it in reverse.
 *
 * Thread: one at a time. Everything blocks with deadlines (rm.h). A failed start has
 * undone itself when it returns; what could not be undone stays guarded, is said in
 * the error, and goes to the module's quarantine when the machine is freed.
 */
#pragma once

#include "libghvm/error.h"
#include "libghvm/host.h"
#include "libghvm/layout.h"
#include "libghvm/rm-abi.h"
#include "libghvm/rm.h"
#include "libghvm/types.h"

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
 * @on_handle: a parcel of @label is about to be or was created (state files)
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

const char *ghvm_vm_status_to_string(enum ghvm_vm_status s);
const char *ghvm_exit_type_to_string(enum ghvm_exit_type t);

/**
 * ghvm_machine_new() - an empty machine
 * @host: borrowed; @rm: borrowed; @plan: borrowed; all outlive the machine
 * @incarnation: random, not 0; names this run in tags and grants
 * @ret: owned, ghvm_machine_free()
 */
int ghvm_machine_new(struct ghvm_host *host, struct ghvm_rm *rm, const struct ghvm_plan *plan,
		     uint64_t incarnation, struct ghvm_machine **ret);

/* Closes what is left; guarded pages go to the quarantine. Accepts NULL. Calls no RM. */
void ghvm_machine_free(struct ghvm_machine *m);

/**
 * ghvm_machine_build() - every step up to GRANT: the VM is READY afterwards
 *
 * Return: 0, or the error of the step that failed, its text prefixed by nothing:
 * ghvm_machine_step() says where. Everything was undone, or see ghvm_machine_quarantined().
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
 * Return: 0 all is back; negative: ghvm_machine_quarantined() pages are still guarded.
 */
int ghvm_machine_teardown(struct ghvm_machine *m, struct ghvm_error *err);

/**
 * ghvm_machine_rebuild() - reboot in place: new VMID, same pinned pages (DECISIONS 12)
 *
 * After the VM ended. As build() from ALLOCATE on, without PIN; READY afterwards.
 */
int ghvm_machine_rebuild(struct ghvm_machine *m, const struct ghvm_machine_files *files,
			 const struct ghvm_machine_hooks *hooks, struct ghvm_error *err);

/**
 * ghvm_machine_on_notify() - tell the machine of a VM_EXITED or VM_STATUS
 * Thread: the dispatcher's; the only function that may run beside another.
 * Return: true if it was for this machine.
 */
bool ghvm_machine_on_notify(struct ghvm_machine *m, const struct ghvm_rm_notification *n);

/* VM_EXITED came (or GET_STATE said so): 1 and the type; 0 not yet. Thread: any. */
int ghvm_machine_exited(const struct ghvm_machine *m, enum ghvm_exit_type *ret);

struct ghvm_vmid ghvm_machine_vmid(const struct ghvm_machine *m);
uint64_t ghvm_machine_incarnation(const struct ghvm_machine *m);
enum ghvm_step_kind ghvm_machine_step(const struct ghvm_machine *m);
const struct ghvm_machine_vcpu *ghvm_machine_vcpus(const struct ghvm_machine *m, size_t *ret_n);
const struct ghvm_machine_doorbell *ghvm_machine_doorbells(const struct ghvm_machine *m,
							   size_t *ret_n);
/* The grant file, borrowed until teardown or rebuild; dup to pass on. -1: none. */
int ghvm_machine_grant(const struct ghvm_machine *m);
uint64_t ghvm_machine_pages_lent(const struct ghvm_machine *m);
uint64_t ghvm_machine_pages_shared(const struct ghvm_machine *m);
uint64_t ghvm_machine_quarantined(const struct ghvm_machine *m);
