/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a machine, for machine.c, machine-build.c, machine-undo.c and
 * machine-adopt.c only.
 */
#pragma once

#include "libghvm/ledger.h"
#include "libghvm/machine.h"
#include "libghvm/parcel.h"
#include "libghvm/rm-vm.h"

#include <pthread.h>

/**
 * struct ghvm_machine - one VM; Thread: one at a time, but for what @lock is over
 * @plan: borrowed; NULL: adopted without one
 * @adopted: what it has is known from tags alone
 * @own_ledger: used while the machine was given none
 * @parcels: owned; by index of the plan, then what else was adopted
 * @vmid_lost: RM may have made a VM for us that we cannot name
 * @grant_id: what REVOKE names; 0: no grant can exist
 * @grant: file, owned, -1 none
 * @undo_failed: the last teardown left something
 * @vmid: 0: none; RM's own is never 0
 * @started: VM_START may have been executed
 * @news: counts notifications, so that none is slept over
 */
struct ghvm_machine {
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	const struct ghvm_plan *plan;
	uint64_t incarnation;
	struct ghvm_ledger *ledger;
	struct ghvm_ledger own_ledger;
	bool adopted;
	bool presplit;
	unsigned int patience_ms;

	struct ghvm_parcel *parcels;
	size_t n_parcels;
	bool vmid_lost;
	uint64_t grant_id;
	int grant;
	struct ghvm_machine_vcpu vcpus[GHVM_SPEC_CPUS_MAX];
	size_t n_vcpus;
	struct ghvm_machine_doorbell doorbells[GHVM_DOORBELL_MAX];
	size_t n_doorbells;
	enum ghvm_step_kind step;
	bool undo_failed;

	pthread_mutex_t lock; /* over all that follows; taken last */
	pthread_cond_t cond;
	struct ghvm_vmid vmid;
	bool started;
	bool exited;
	enum ghvm_exit_type exit_type;
	unsigned int news;
};

/* machine.c */
int ghvm_machine_alloc(struct ghvm_host *host, struct ghvm_rm *rm, size_t n_parcels,
		       struct ghvm_machine **ret);
void ghvm_machine_set_vmid(struct ghvm_machine *m, struct ghvm_vmid vmid);
/* The state according to RM; NONE: it knows no such VM. */
int ghvm_machine_ask(struct ghvm_machine *m, struct ghvm_vmid vmid, enum ghvm_vm_status *ret,
		     struct ghvm_error *err);
/* Did RM itself say no? */
bool ghvm_machine_refused(int r, const struct ghvm_error *e);
/* How many notifications came so far; until one comes after the first @seen, at most @ms. */
unsigned int ghvm_machine_news(const struct ghvm_machine *m);
void ghvm_machine_wait(struct ghvm_machine *m, unsigned int seen, unsigned int ms);

/* machine-build.c: vCPUs and doorbells, into the machine. */
int ghvm_machine_learn(struct ghvm_machine *m, struct ghvm_error *err);
uint64_t ghvm_machine_grant_id(const struct ghvm_machine *m);

/* machine-undo.c: all back from RM, and unguarded; the pins stay. */
int ghvm_machine_take_back(struct ghvm_machine *m, struct ghvm_error *err);
void ghvm_machine_unpin(struct ghvm_machine *m);
