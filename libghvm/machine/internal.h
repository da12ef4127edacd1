/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internals of machines, for machine*.c and transaction*.c only.
 */
#pragma once

#include "libghvm/memory/ledger.h"
#include "ghvm/machine.h"
#include "libghvm/machine/pair.h"
#include "libghvm/memory/parcel.h"
#include "libghvm/memory/region-map.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/rm/vm-calls.h"

#include <pthread.h>

struct ghvm_transaction;

/**
 * struct ghvm_machine_added - a region that a transaction has added
 * @handle: RM's handle of its parcel, to match notifications
 * @accepted: the guest has mapped it and not yet released it, according to notifications
 * @memfd: owned; -1: adopted
 */
struct ghvm_machine_added {
	uint32_t label;
	struct ghvm_parcel_handle handle;
	bool accepted;
	int memfd;
};

/**
 * struct ghvm_machine - one VM; Thread: one at a time, except for members guarded by @lock
 * @plan: borrowed; NULL: adopted without a plan
 * @name: of the VM; "": unknown
 * @adopted: its parcels are known from tags only
 * @own_ledger: used unless another ledger is set
 * @parcels: owned; those of the plan by its index, then those added at run time; or those
 *           adopted. Allocated for GHVM_LEDGER_PARCELS more than the plan has.
 * @map: regions by address, from READY on
 * @transaction: borrowed; NULL: none is open
 * @watched: RM lists a watchdog among the VM's resources: the guest has one
 * @tries_share: a refusal of shared RAM is not undone; @share_refused: there was one, and the VM and
 *     its parcels are as they were then
 * @vmid_lost: RM may have allocated a VMID of unknown number
 * @vmid_odd: RM has reported it for an ALLOCATE, it is outside of RM's usual range, and RM has not
 *            said that it is a new VM; 0: none. Set with @vmid_lost
 * @grant_id: argument of REVOKE; 0: no grant exists
 * @grant: file, owned, -1 none
 * @undo_failed: the last teardown was incomplete, or was that of a dead process
 * @awaits_peer: only regions that another guest may have kept it from being complete
 * @settled: RM has said that the guest does not run and never will
 * @asked_crash: RM was asked for the crash message of this VM; @crash: the last message that was
 *     not taken, "" none
 * @vmid: 0: none; RM's own is never 0
 * @started: VM_START may have been executed
 * @news: number of notifications, so that a waiter misses none
 * @told: status in the last VM_STATUS since ghvm_machine_hear(); NONE: there was none
 * @added: unordered
 */
struct ghvm_machine {
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	const struct ghvm_plan *plan;
	char name[GHVM_NAME_SIZE];
	uint64_t incarnation;
	struct ghvm_ledger *ledger;
	struct ghvm_ledger own_ledger;
	bool adopted;
	bool presplit;
	unsigned int patience_ms;

	struct ghvm_parcel *parcels;
	size_t n_parcels;
	struct ghvm_region_table *map;
	struct ghvm_transaction *transaction;
	bool watched;
	bool tries_share;
	bool share_refused;
	bool vmid_lost;
	struct ghvm_vmid vmid_odd;
	uint64_t grant_id;
	int grant;
	struct ghvm_machine_vcpu vcpus[GHVM_SPEC_CPUS_MAX];
	size_t n_vcpus;
	struct ghvm_machine_doorbell doorbells[GHVM_DOORBELL_MAX];
	size_t n_doorbells;
	enum ghvm_step_kind step;
	bool undo_failed;
	bool awaits_peer;
	bool settled;
	bool asked_crash;
	char crash[GHVM_CRASH_MESSAGE_SIZE];
	struct ghvm_machine_pair pair;

	pthread_mutex_t lock; /* guards the following members; taken last */
	pthread_cond_t cond;
	struct ghvm_vmid vmid;
	bool started;
	bool exited;
	enum ghvm_exit_type exit_type;
	unsigned int news;
	enum ghvm_vm_status told;
	struct ghvm_machine_added added[GHVM_LEDGER_PARCELS];
	size_t n_added;
};

/* machine.c */
int ghvm_machine_alloc(struct ghvm_host *host, struct ghvm_rm *rm, size_t n_parcels,
		       struct ghvm_machine **ret);
void ghvm_machine_set_vmid(struct ghvm_machine *m, struct ghvm_vmid vmid);
/* Ask RM for the VM's state; NONE: RM knows no such VM. */
int ghvm_machine_ask(struct ghvm_machine *m, struct ghvm_vmid vmid, enum ghvm_vm_status *ret,
		     struct ghvm_error *err);
/* True for a refusal by RM. */
bool ghvm_machine_refused(int r, const struct ghvm_error *e);
/* Number of notifications so far; and wait until it differs from @seen, at most @ms. */
unsigned int ghvm_machine_news(const struct ghvm_machine *m);
void ghvm_machine_wait(struct ghvm_machine *m, unsigned int seen, unsigned int ms);
/* Before a request: only what RM notifies from here on is an effect of it. */
void ghvm_machine_hear(struct ghvm_machine *m);
/* True if VM_STATUS has said @status since then, last. EXITED is noted as the end of the guest. */
bool ghvm_machine_told(struct ghvm_machine *m, enum ghvm_vm_status status);
uint64_t ghvm_machine_now_ms(void);

/* Shorten the 10 s that teardown() waits for an exit, and for a reset (tests). */
void ghvm_machine_set_patience(struct ghvm_machine *m, unsigned int ms);

void ghvm_machine_unpin(struct ghvm_machine *m);

/* build.c: query vCPUs and doorbells. */
int ghvm_machine_learn(struct ghvm_machine *m, struct ghvm_error *err);
uint64_t ghvm_machine_grant_id(const struct ghvm_machine *m);

/* orphans.c: true if both tags are of the same run of the same VM. */
bool ghvm_orphans_same_life(const struct ghvm_tag *a, const struct ghvm_tag *b);
/*
 * The contradiction between two tags, or NULL. A VMID is deallocated only when nothing is guarded
 * for it, handles are not reused, and only the probe's label may occur twice.
 */
const char *ghvm_orphans_contradiction(const struct ghvm_tag *a, const struct ghvm_tag *b);

/* pair.c: the region is one that another machine has made, and the parcel is not pinned; after build(). */
bool ghvm_machine_joined(const struct ghvm_machine *m, size_t parcel);
/* The regions of two guests are for @with as well, which RM has allocated. */
void ghvm_machine_pair_parcels(struct ghvm_machine *m, struct ghvm_vmid with);
/* Take the VMID that another machine has reserved. */
int ghvm_machine_join(struct ghvm_machine *m, struct ghvm_error *err);
/* False: a second guest may have the parcel. Otherwise none gets it any more. */
bool ghvm_machine_may_reclaim(struct ghvm_machine *m, const struct ghvm_parcel *p);
/* RM has given the parcel back: the VMID of its second guest is deallocated, if that is to be done here. */
int ghvm_machine_pair_end(struct ghvm_machine *m, struct ghvm_parcel *p, struct ghvm_error *err);

/* teardown.c: ask for the VM's state. NONE lets its VMID be forgotten, so it takes two replies. */
int ghvm_machine_ask_surely(struct ghvm_machine *m, struct ghvm_vmid vmid, enum ghvm_vm_status *ret,
			    struct ghvm_error *err);
/* teardown.c: a VM in state @status has no page: deallocate its VMID, or count it as stuck. */
int ghvm_machine_retire(struct ghvm_machine *m, struct ghvm_vmid vmid, enum ghvm_vm_status status,
			struct ghvm_error *err);
/* teardown.c: take everything back from RM and unguard it; the pins stay. */
int ghvm_machine_take_back(struct ghvm_machine *m, struct ghvm_error *err);

/* regions.c: fill the map from the parcels, when the VM is READY or adopted. */
int ghvm_machine_map_fill(struct ghvm_machine *m, struct ghvm_error *err);
/* Unpin all regions that transactions added and empty the map: this run is over. */
void ghvm_machine_map_clear(struct ghvm_machine *m);
/* The parcel of an added region, or NULL. */
struct ghvm_parcel *ghvm_machine_added_parcel(struct ghvm_machine *m, uint32_t label);
/*
 * Add an unpinned parcel for a reserved label. @memfd: owned by the parcel on success. NULL: too
 * many.
 */
struct ghvm_parcel *ghvm_machine_added_new(struct ghvm_machine *m,
					   const struct ghvm_parcel_config *config, int memfd);
/* Set the handle of an added region, and that the guest has not accepted it. */
void ghvm_machine_added_name(struct ghvm_machine *m, uint32_t label,
			     struct ghvm_parcel_handle handle);
bool ghvm_machine_added_accepted(struct ghvm_machine *m, uint32_t label);
/* Close the pin of @p and remove it from the map and the parcels. */
void ghvm_machine_forget(struct ghvm_machine *m, struct ghvm_parcel *p);
bool ghvm_machine_take_memory(struct ghvm_machine *m, const struct ghvm_rm_notification *n);

/* transaction.c: the run is over: drop the transaction. Accepts NULL. */
void ghvm_transaction_abort(struct ghvm_transaction *t);

/*
 * transaction-recover.c: undo or complete a commit that a dead process left unfinished, as far as
 * RM permits. The guest runs. Thread: that of the adoption.
 */
void ghvm_transaction_adopt(struct ghvm_machine *m);
