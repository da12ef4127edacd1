/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the VMs of a host together take from its one resource manager: SGL entries of its
 * small heap, parcels, VMIDs (abi K.2); and which of its numbers are spoken for.
 *
 * The numbers matter when a reply is lost: RM has then made a parcel or a VM that we
 * cannot name. It gives handles out by counting, so the lost one is younger than the last
 * we saw, older than the next we get, and not one that somebody here has (DECISIONS 28).
 */
#pragma once

#include "libghvm/error.h"
#include "libghvm/quirks.h"
#include "libghvm/types.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Room for what a row of quirks may allow. */
#define GHVM_LEDGER_PARCELS 64
#define GHVM_LEDGER_VMIDS 64

/**
 * struct ghvm_ledger_parcel - one parcel that may exist in RM
 * @owned: a struct ghvm_parcel stands behind it; else it is in the quarantine
 * @handle: what RM has named it; GHVM_PARCEL_NONE: not (yet) known
 * @sure: RM has shown that it has it under @handle, and not only said so once
 * @disputed: RM has named another one so as well
 * @entries: charged to the host
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
};

/**
 * struct ghvm_ledger - embedded by who manages the host; Thread: any
 * @numbering: held over a call that has RM give out a number, so that calls and numbers
 *     are in one order; taken before @lock
 * @quirks: the limits; borrowed, set before use by others
 * @last: the youngest handle that is sure, if @seen
 * @vmids: a bit for each VMID from the first on that somebody here has
 * @stuck: those that RM can neither use nor take back (abi K.6)
 * @distrusted: see ghvm_ledger_distrust()
 */
struct ghvm_ledger {
	pthread_mutex_t numbering;
	const struct ghvm_quirks *quirks;
	pthread_mutex_t lock; /* over all that follows */
	uint64_t used;
	unsigned int n_parcels;
	struct ghvm_ledger_parcel parcels[GHVM_LEDGER_PARCELS];
	struct ghvm_parcel_handle last;
	bool seen;
	uint64_t vmids;
	uint64_t stuck;
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
/* Other limits, once they are known; before use by others. */
void ghvm_ledger_set_quirks(struct ghvm_ledger *l, const struct ghvm_quirks *quirks);

/**
 * ghvm_ledger_take() - charge a parcel before RM hears of it
 * @ret: names the entry to the functions below
 *
 * Return: 0; -E2BIG over the budget, with the figures in @err; -ENOSPC too many parcels.
 */
int ghvm_ledger_take(struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p, const char *name,
		     unsigned int *ret, struct ghvm_error *err);

/**
 * ghvm_ledger_adopt() - the same for a parcel that RM may have already: no budget
 *
 * An abandoned entry of the same VMID, incarnation and label is taken over.
 *
 * Return: 0; -ENOSPC: too many parcels; -EINVAL: another parcel has its handle.
 */
int ghvm_ledger_adopt(struct ghvm_ledger *l, const struct ghvm_ledger_parcel *p, const char *name,
		      unsigned int *ret, struct ghvm_error *err);

/**
 * ghvm_ledger_check() - would so much fit now?
 * @entries: at least; @parcels: so many
 * @remedy: of too many entries, "lower memory.size"
 *
 * Nothing is taken: this is asked before memory is populated, ghvm_ledger_take() decides.
 *
 * Return: 0; -E2BIG not now, -EDQUOT never, with the figures in @err.
 */
int ghvm_ledger_check(struct ghvm_ledger *l, uint64_t entries, unsigned int parcels,
		      const char *remedy, struct ghvm_error *err);

/* RM has nothing of it any more. */
void ghvm_ledger_give(struct ghvm_ledger *l, unsigned int entry);
/* RM may have something of it, and nobody here cares: it is in the quarantine. */
void ghvm_ledger_abandon(struct ghvm_ledger *l, unsigned int entry);
/* The VM it is promised to. */
void ghvm_ledger_promise(struct ghvm_ledger *l, unsigned int entry, struct ghvm_vmid vmid,
			 uint64_t incarnation);
/*
 * RM has named it so in one reply. False: RM has named another one so, too: one of the two is wrong,
 * and if that other one is not sure nobody knows which; it has no handle then.
 */
bool ghvm_ledger_claim(struct ghvm_ledger *l, unsigned int entry, struct ghvm_parcel_handle handle);
/*
 * RM has acted on its handle. False: that may have been another's, since its handle is disputed.
 * @by_content: RM has found the handle by the pages, which settles a dispute.
 */
bool ghvm_ledger_confirm(struct ghvm_ledger *l, unsigned int entry, bool by_content);
/* It has no handle, or nobody knows it any more. */
void ghvm_ledger_unname(struct ghvm_ledger *l, unsigned int entry);
/* RM has found this handle by the pages of a parcel: whatever has it on RM's word alone is wrong. */
void ghvm_ledger_dispute(struct ghvm_ledger *l, struct ghvm_parcel_handle handle);
/*
 * May the handle of one that is not sure be that of another? It is disputed, or there is one whose
 * handle is not known.
 */
bool ghvm_ledger_doubted(struct ghvm_ledger *l, unsigned int entry);
/* Is each of the others sure of its handle? Then one that nothing here has is not another's. */
bool ghvm_ledger_others_sure(struct ghvm_ledger *l, unsigned int entry);

/**
 * enum ghvm_ledger_naming - does anything here have this handle?
 * @GHVM_LEDGER_FREE: nothing
 * @GHVM_LEDGER_CLAIMED: something that is not sure
 * @GHVM_LEDGER_SURE: something that is
 */
enum ghvm_ledger_naming {
	GHVM_LEDGER_FREE,
	GHVM_LEDGER_CLAIMED,
	GHVM_LEDGER_SURE,
};

enum ghvm_ledger_naming ghvm_ledger_naming(struct ghvm_ledger *l, struct ghvm_parcel_handle handle);
/* 1 and the youngest handle that is sure; 0 none is. */
int ghvm_ledger_last(struct ghvm_ledger *l, struct ghvm_parcel_handle *ret);

void ghvm_ledger_numbering_begin(struct ghvm_ledger *l);
void ghvm_ledger_numbering_end(struct ghvm_ledger *l);

/* False: RM does not give out such a one, or somebody here has it. */
bool ghvm_ledger_vmid_claim(struct ghvm_ledger *l, struct ghvm_vmid vmid);
void ghvm_ledger_vmid_add(struct ghvm_ledger *l, struct ghvm_vmid vmid);
void ghvm_ledger_vmid_remove(struct ghvm_ledger *l, struct ghvm_vmid vmid);
/* It stays somebody's for ever. */
void ghvm_ledger_vmid_stuck(struct ghvm_ledger *l, struct ghvm_vmid vmid);
bool ghvm_ledger_vmid_known(struct ghvm_ledger *l, struct ghvm_vmid vmid);
/* Has each of them a parcel? Then whoever adopts the parcels finds them all. */
bool ghvm_ledger_vmids_shown(struct ghvm_ledger *l);
/* The range that RM gives out. */
void ghvm_ledger_vmids(const struct ghvm_ledger *l, struct ghvm_vmid *ret_first,
		       struct ghvm_vmid *ret_last);

/*
 * Some guarded pin has no readable tag: any VM that was found may have one more parcel than
 * its tags say, so the VMID of no adopted machine is given back from now on.
 */
void ghvm_ledger_distrust(struct ghvm_ledger *l);
bool ghvm_ledger_distrusted(struct ghvm_ledger *l);

void ghvm_ledger_figures(struct ghvm_ledger *l, struct ghvm_ledger_figures *ret);
