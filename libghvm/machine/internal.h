/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a machine, for the files of this folder only.
 */
#pragma once

#include "libghvm/memory/ledger.h"
#include "ghvm/machine.h"
#include "libghvm/memory/parcel.h"
#include "ghvm/region.h"
#include "libghvm/rm/vm-calls.h"

#include <pthread.h>

struct ghvm_transaction;

/**
 * struct ghvm_machine_added - a region that a transaction has added
 * @handle: RM's name for its parcel, as far as notifications are concerned
 * @accepted: the guest says that it has mapped it, and not that it has released it
 * @memfd: owned; -1: adopted
 */
struct ghvm_machine_added {
	uint32_t label;
	struct ghvm_parcel_handle handle;
	bool accepted;
	int memfd;
};

/**
 * struct ghvm_machine - one VM; Thread: one at a time, but for what @lock is over
 * @plan: borrowed; NULL: adopted without one
 * @name: of the VM; "": nobody knows it
 * @adopted: what it has is known from tags alone
 * @own_ledger: used while the machine was given none
 * @parcels: owned; by index of the plan, then what was added at run time, or else adopted;
 *     room for GHVM_LEDGER_PARCELS more than the plan has
 * @map: what is where, from READY on
 * @transaction: borrowed; NULL: none is open
 * @vmid_lost: RM may have made a VM for us that we cannot name
 * @grant_id: what REVOKE names; 0: no grant can exist
 * @grant: file, owned, -1 none
 * @undo_failed: the last teardown left something, or who had it before did
 * @settled: RM has said that its guest does not run and never will
 * @vmid: 0: none; RM's own is never 0
 * @started: VM_START may have been executed
 * @news: counts notifications, so that none is slept over
 * @added: by no order
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
	bool vmid_lost;
	uint64_t grant_id;
	int grant;
	struct ghvm_machine_vcpu vcpus[GHVM_SPEC_CPUS_MAX];
	size_t n_vcpus;
	struct ghvm_machine_doorbell doorbells[GHVM_DOORBELL_MAX];
	size_t n_doorbells;
	enum ghvm_step_kind step;
	bool undo_failed;
	bool settled;

	pthread_mutex_t lock; /* over all that follows; taken last */
	pthread_cond_t cond;
	struct ghvm_vmid vmid;
	bool started;
	bool exited;
	enum ghvm_exit_type exit_type;
	unsigned int news;
	struct ghvm_machine_added added[GHVM_LEDGER_PARCELS];
	size_t n_added;
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
uint64_t ghvm_machine_now_ms(void);

/* build.c: vCPUs and doorbells, into the machine. */
int ghvm_machine_learn(struct ghvm_machine *m, struct ghvm_error *err);
uint64_t ghvm_machine_grant_id(const struct ghvm_machine *m);

/* teardown.c: all back from RM, and unguarded; the pins stay. */
int ghvm_machine_take_back(struct ghvm_machine *m, struct ghvm_error *err);
void ghvm_machine_unpin(struct ghvm_machine *m);

/* regions.c: the map from the parcels, when the VM has become READY or was adopted. */
int ghvm_machine_map_fill(struct ghvm_machine *m, struct ghvm_error *err);
/* All that transactions added is unpinned, and the map is empty: this run is over. */
void ghvm_machine_map_clear(struct ghvm_machine *m);
/* The parcel behind a region that was added, or NULL. */
struct ghvm_parcel *ghvm_machine_added_parcel(struct ghvm_machine *m, uint32_t label);
/*
 * One more, not pinned, whose label somebody has reserved. @memfd: owned by it on success.
 * NULL: there is no room.
 */
struct ghvm_parcel *ghvm_machine_added_new(struct ghvm_machine *m,
					   const struct ghvm_parcel_config *config, int memfd);
/* Its parcel is known under this handle now, and the guest has not accepted that. */
void ghvm_machine_added_name(struct ghvm_machine *m, uint32_t label,
			     struct ghvm_parcel_handle handle);
bool ghvm_machine_added_accepted(struct ghvm_machine *m, uint32_t label);
/* Its pin is closed, and it is neither in the map any more nor among the parcels. */
void ghvm_machine_forget(struct ghvm_machine *m, struct ghvm_parcel *p);
bool ghvm_machine_take_memory(struct ghvm_machine *m, const struct ghvm_rm_notification *n);

/* transaction.c: the run is over: nothing of it will happen. Accepts NULL. */
void ghvm_transaction_abort(struct ghvm_transaction *t);

/*
 * transaction-recover.c: what a commit has left half-done, whose process died, is undone or
 * finished as far as RM lets it. The guest runs. Thread: that of the adoption.
 */
void ghvm_transaction_adopt(struct ghvm_machine *m);
