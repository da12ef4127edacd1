/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accounts of the one resource manager's limited resources, for all VMs of a host: SGL entries of
 * its small heap, parcels, VMIDs (abi K.2); and which of its numbers are in use.
 *
 * Numbers matter when a reply is lost: RM has then created a parcel or a VM of unknown
 * number. RM hands out handles by counting, so the lost one lies between the last handle seen
 * and the next one received, and is not in use here (decision 28).
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/rm/quirks.h"
#include "ghvm/types.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Capacity; rows of quirks may not exceed it. */
#define GHVM_LEDGER_PARCELS 64
#define GHVM_LEDGER_VMIDS 256

/**
 * enum ghvm_ledger_pair - the second guest of a parcel that two guests have
 * @GHVM_LEDGER_ALONE: there is none
 * @GHVM_LEDGER_RESERVED: its VMID waits for the start of that guest
 * @GHVM_LEDGER_JOINED: a machine has the VMID, and its guest may have the pages
 * @GHVM_LEDGER_LEFT: the guest of that machine is over
 * @GHVM_LEDGER_SPENT: no machine has the VMID, and none gets it any more
 */
enum ghvm_ledger_pair {
	GHVM_LEDGER_ALONE,
	GHVM_LEDGER_RESERVED,
	GHVM_LEDGER_JOINED,
	GHVM_LEDGER_LEFT,
	GHVM_LEDGER_SPENT,
};

/**
 * struct ghvm_ledger_parcel - one parcel that may exist in RM
 * @owned: a struct ghvm_parcel exists for it; false: its pages are in the quarantine
 * @handle: RM's number for it; GHVM_PARCEL_NONE: unknown
 * @sure: RM has acted on @handle, not only reported it once
 * @disputed: RM has reported the same handle for another parcel
 * @entries: SGL entries charged to the host
 * @with: VMID of the second guest, unless @pair is ALONE
 * @closed: RM is asked to take it back, so no second guest joins any more
 */
struct ghvm_ledger_parcel {
	bool used;
	bool owned;
	struct ghvm_vmid vmid;
	uint64_t incarnation;
	uint32_t label;
	struct ghvm_parcel_handle handle;
	bool sure;
	bool disputed;
	uint64_t entries;
	struct ghvm_vmid with;
	enum ghvm_ledger_pair pair;
	bool closed;
};

/**
 * struct ghvm_ledger_vmid - one VMID
 * @used: in use here
 * @stuck: RM can neither use nor deallocate it (abi K.6)
 * @noted: see ghvm_ledger_vmid_note()
 */
struct ghvm_ledger_vmid {
	bool used;
	bool stuck;
	bool noted;
};

/* @used: RM has allocated @vmid here, or it is not in use any more. Thread: any, without the ledger's lock */
typedef void (*ghvm_ledger_vmid_fn)(void *data, struct ghvm_vmid vmid, bool used);

/**
 * struct ghvm_ledger - embedded by the owner of the host; Thread: any
 * @numbering: held during a call that makes RM hand out a number, so that calls and numbers have
 *             the same order; taken before @lock
 * @quirks: the limits; borrowed, set before other threads use the ledger
 * @last: the newest handle that is sure, if @seen
 * @on_vmid, @on_vmid_data: see ghvm_ledger_watch_vmids()
 * @distrusted: see ghvm_ledger_distrust()
 */
struct ghvm_ledger {
	pthread_mutex_t numbering;
	const struct ghvm_quirks *quirks;
	ghvm_ledger_vmid_fn on_vmid;
	void *on_vmid_data;
	pthread_mutex_t lock; /* guards the following members */
	uint64_t used;
	unsigned int n_parcels;
	struct ghvm_ledger_parcel parcels[GHVM_LEDGER_PARCELS];
	struct ghvm_parcel_handle last;
	bool seen;
	struct ghvm_ledger_vmid vmids[GHVM_LEDGER_VMIDS];
	bool distrusted;
};

/**
 * struct ghvm_ledger_figures - a snapshot, for people
 */
struct ghvm_ledger_figures {
	uint64_t entries_limit;
	uint64_t entries;
	unsigned int parcels;
	unsigned int vmids;
	unsigned int stuck;
};

/* @quirks: borrowed, outlives the ledger */
void ghvm_ledger_init(struct ghvm_ledger *l, const struct ghvm_quirks *quirks);
void ghvm_ledger_done(struct ghvm_ledger *l);
/* Replace the limits, before other threads use the ledger. */
void ghvm_ledger_set_quirks(struct ghvm_ledger *l, const struct ghvm_quirks *quirks);

/**
 * ghvm_ledger_take() - charge a parcel before it is created in RM
 * @ret: index of the entry, for the functions below
 *
 * Return: 0; -E2BIG over the budget, with the figures in @err; -ENOSPC too many parcels.
 */
int ghvm_ledger_take(struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p, const char *name,
		     unsigned int *ret, struct ghvm_error *err);

/**
 * ghvm_ledger_adopt() - as ghvm_ledger_take(), without limits, for a parcel that RM may have
 * already
 *
 * An abandoned entry of the same VMID, incarnation and label is reused. With @p->with, that VMID is JOINED if
 * one of the adopted parcels is for it, in whatever order they are adopted, else RESERVED.
 *
 * Return: 0; -ENOSPC: too many parcels; -EINVAL: another parcel has its handle.
 */
int ghvm_ledger_adopt(struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p, const char *name,
		      unsigned int *ret, struct ghvm_error *err);

/**
 * ghvm_ledger_check() - check whether an allocation would fit now
 * @entries: a lower bound; @parcels: number of parcels
 * @remedy: advice against too many entries, "lower memory.size"
 *
 * Charges nothing. Called before memory is populated; ghvm_ledger_take() decides.
 *
 * Return: 0; -E2BIG not now, -EDQUOT never, with the figures in @err.
 */
int ghvm_ledger_check(struct ghvm_ledger *l, uint64_t entries, unsigned int parcels,
		      const char *remedy, struct ghvm_error *err);

/* Release the entry: RM has no such parcel any more. */
void ghvm_ledger_give(struct ghvm_ledger *l, unsigned int entry);
/*
 * Mark the entry as not owned: the pages are in the quarantine, and RM may still have the parcel.
 */
void ghvm_ledger_abandon(struct ghvm_ledger *l, unsigned int entry);
/* Set the VM that the parcel is for. */
void ghvm_ledger_promise(struct ghvm_ledger *l, unsigned int entry, struct ghvm_vmid vmid,
			 uint64_t incarnation);
/*
 * Record a handle that RM has reported once. False: RM has reported it for another parcel too, so
 * one of the two is wrong. The entry then has no handle; if the other one is not sure, it is
 * disputed.
 */
bool ghvm_ledger_claim(struct ghvm_ledger *l, unsigned int entry, struct ghvm_parcel_handle handle);
/*
 * Record that RM has acted on the handle. False: it is disputed, and may be another parcel's.
 * @by_content: RM has found the handle by the pages, which settles a dispute.
 */
bool ghvm_ledger_confirm(struct ghvm_ledger *l, unsigned int entry, bool by_content);
/* Clear the handle: there is none, or it is unknown. */
void ghvm_ledger_unname(struct ghvm_ledger *l, unsigned int entry);
/*
 * RM has found @handle by the pages of a parcel: dispute it for each entry that is not sure of
 * it.
 */
void ghvm_ledger_dispute(struct ghvm_ledger *l, struct ghvm_parcel_handle handle);
/*
 * True if the handle of an entry that is not sure may be another parcel's: it is disputed, or the
 * handle of another entry is unknown.
 */
bool ghvm_ledger_doubted(struct ghvm_ledger *l, unsigned int entry);
/* True if all other entries are sure. Then a handle not in use here belongs to none of them. */
bool ghvm_ledger_others_sure(struct ghvm_ledger *l, unsigned int entry);

/**
 * enum ghvm_ledger_naming - does an entry have this handle?
 * @GHVM_LEDGER_FREE: no entry
 * @GHVM_LEDGER_CLAIMED: an entry that is not sure
 * @GHVM_LEDGER_SURE: an entry that is sure
 */
enum ghvm_ledger_naming {
	GHVM_LEDGER_FREE,
	GHVM_LEDGER_CLAIMED,
	GHVM_LEDGER_SURE,
};

enum ghvm_ledger_naming ghvm_ledger_naming(struct ghvm_ledger *l, struct ghvm_parcel_handle handle);
/* Return: 1 and the newest handle that is sure; 0: there is none. */
int ghvm_ledger_last(struct ghvm_ledger *l, struct ghvm_parcel_handle *ret);

void ghvm_ledger_numbering_begin(struct ghvm_ledger *l);
void ghvm_ledger_numbering_end(struct ghvm_ledger *l);

/* Mark @vmid as in use. False: it is no guest's (ghvm_vmid_is_guest()), or in use already. */
bool ghvm_ledger_vmid_claim(struct ghvm_ledger *l, struct ghvm_vmid vmid);
void ghvm_ledger_vmid_add(struct ghvm_ledger *l, struct ghvm_vmid vmid);
void ghvm_ledger_vmid_remove(struct ghvm_ledger *l, struct ghvm_vmid vmid);
/* @vmid is never deallocated. */
void ghvm_ledger_vmid_stuck(struct ghvm_ledger *l, struct ghvm_vmid vmid);
bool ghvm_ledger_vmid_known(struct ghvm_ledger *l, struct ghvm_vmid vmid);
/* Call @on_vmid for each VMID that is claimed or removed. Before other threads use the ledger. */
void ghvm_ledger_watch_vmids(struct ghvm_ledger *l, ghvm_ledger_vmid_fn on_vmid, void *data);
/* RM has allocated @vmid to an earlier process of this boot, so it may be asked about, whatever its number is. */
void ghvm_ledger_vmid_note(struct ghvm_ledger *l, struct ghvm_vmid vmid);
bool ghvm_ledger_vmid_noted(struct ghvm_ledger *l, struct ghvm_vmid vmid);
/* True if each VMID in use has a parcel. Then adopting all parcels finds all VMs. */
bool ghvm_ledger_vmids_shown(struct ghvm_ledger *l);
/*
 * Two guests may have one parcel. RM takes it back when neither has it, and until then the VMIDs of both must not
 * be deallocated: the next VM of that number would get the pages. The second VMID belongs to the machine that
 * has joined; before that and afterwards it belongs to the parcel.
 */

/* The parcel of @entry will be for the VM @with, too, which RM has allocated: RESERVED. */
void ghvm_ledger_pair(struct ghvm_ledger *l, unsigned int entry, struct ghvm_vmid with);
/*
 * A machine takes the VMID @with: JOINED. False: it is not reserved by each parcel that names it, or they are not of
 * @incarnation: the VMID may have been deallocated and reserved for another VM since.
 */
bool ghvm_ledger_pair_join(struct ghvm_ledger *l, struct ghvm_vmid with, uint64_t incarnation);
/* RM has said that the guest of @with does not run and never will: LEFT. */
void ghvm_ledger_pair_leave(struct ghvm_ledger *l, struct ghvm_vmid with);
/*
 * The machine of @with has nothing left but the VMID. True: a parcel has it now, RESERVED if @unused and no parcel of
 * it is closed, else SPENT; false: no parcel names it, the machine deallocates it.
 */
bool ghvm_ledger_pair_return(struct ghvm_ledger *l, struct ghvm_vmid with, bool unused);
/* Before RECLAIM. False: a second guest may have the pages. Otherwise none can join any more. */
bool ghvm_ledger_pair_close(struct ghvm_ledger *l, unsigned int entry);
/*
 * After RECLAIM. True: the caller deallocates @with, which no machine and no other parcel has, and then calls
 * ghvm_ledger_pair_drop(); false: it is dropped.
 */
bool ghvm_ledger_pair_end(struct ghvm_ledger *l, unsigned int entry);
void ghvm_ledger_pair_drop(struct ghvm_ledger *l, unsigned int entry);
/* ALONE: no parcel names @with. Of several the first. */
enum ghvm_ledger_pair ghvm_ledger_pair_of(struct ghvm_ledger *l, struct ghvm_vmid with);

/*
 * The range of VMIDs that RM is known to allocate. All of them may be asked about. A VMID outside
 * of it may be that of a VM which is not of this project, unless RM has allocated it here.
 */
void ghvm_ledger_vmids(const struct ghvm_ledger *l, struct ghvm_vmid *ret_first,
		       struct ghvm_vmid *ret_last);
bool ghvm_ledger_vmid_usual(const struct ghvm_ledger *l, struct ghvm_vmid vmid);

/*
 * Record that a guarded pin has no readable tag. Each adopted VM may then have one more parcel
 * than the tags say, so no VMID of an adopted machine is deallocated from now on.
 */
void ghvm_ledger_distrust(struct ghvm_ledger *l);
bool ghvm_ledger_distrusted(struct ghvm_ledger *l);

void ghvm_ledger_figures(struct ghvm_ledger *l, struct ghvm_ledger_figures *ret);
