/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory parcels: who owns which page right now.
 *
 * The one rule: a page that a guest may still own never returns to Linux. So a pin is
 * guarded before RM hears of its pages, and the guard falls only after RM has confirmed
 * that nobody else has them. Whatever is not known counts as the guest's.
 *
 *	NONE -pin-> OURS -guard-> GUARDED -lend, share-> LENT, SHARED
 *	     <-done-     <-unguard-       <---reclaim---   (or LOST, PARTIAL)
 *
 * One reply of RM proves nothing, as it may be wrong: that RM has nothing of a page any more takes
 * two that agree. RM has given the parcel back, and then does not know its handle; or it does
 * not know, twice, a handle that it has acted on before. The same holds for whoever adopts.
 */
#pragma once

#include "libghvm/error.h"
#include "libghvm/host.h"
#include "libghvm/ledger.h"
#include "libghvm/rm.h"
#include "libghvm/tag.h"
#include "libghvm/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_PARCEL_NAME_SIZE 24

/*
 * LOST: RM may have a parcel of these pages, whose handle we do not know.
 * PARTIAL: RM has one by our handle, but not all its pages are in it.
 */
enum ghvm_parcel_state {
	GHVM_PARCEL_UNPINNED,
	GHVM_PARCEL_OURS,
	GHVM_PARCEL_GUARDED,
	GHVM_PARCEL_LOST,
	GHVM_PARCEL_PARTIAL,
	GHVM_PARCEL_LENT,
	GHVM_PARCEL_SHARED,
};

const char *ghvm_parcel_state_to_string(enum ghvm_parcel_state s);

/**
 * struct ghvm_parcel_config - what a parcel is for
 * @name: for people, "ram"
 * @vm_name: goes into the tag
 * @lend: the guest alone gets it, else guest and host
 * @rights: of the guest, GHVM_MEM_R and so on
 * @presplit: SHARE and RECLAIM before each LEND, for hypervisors whose LEND does not
 *     unmap parts of large blocks (abi K.3, DECISIONS 11)
 */
struct ghvm_parcel_config {
	char name[GHVM_PARCEL_NAME_SIZE];
	char vm_name[GHVM_NAME_SIZE];
	uint32_t label;
	uint64_t ipa;
	bool lend;
	uint8_t rights;
	bool presplit;
};

/**
 * struct ghvm_parcel - some pinned memory and whose it is; Thread: one at a time
 * @host, @rm, @ledger: borrowed, outlive the parcel
 * @pin: owned, -1 if UNPINNED
 * @extents: owned; NULL after adoption until they are needed
 * @handle: RM's name, if PARTIAL, LENT or SHARED; of a LOST one only for its tag
 * @sure: RM has shown that it has the parcel under @handle (tag.h)
 * @after: if @after_known: its handle is younger than this one, whatever RM says
 * @probe: owned; one page that was given while looking for a lost handle, and is not back yet
 * @assigns: the platform's firmware must be told of changes of hands (abi G)
 * @depth: 0; of a probe 1, of a probe's probe 2
 * @refused: LOST because of a refusal: if nothing contradicts it, RM has made nothing
 * @unproven: LOST, and RM may have the parcel before that one as well
 * @tag_named: the tag names a handle; before another parcel is made of the same pages it
 *     must not, or a reader of the tag would take the pages for ours once that one is gone
 * @change: what its tag says of a transaction: of GHVM_TAG_CHANGE
 * @entry: in the ledger, if not UNPINNED
 */
struct ghvm_parcel {
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	struct ghvm_ledger *ledger;
	struct ghvm_parcel_config config;
	enum ghvm_parcel_state state;
	struct ghvm_vmid vmid;
	uint64_t incarnation;
	int pin;
	uint64_t size;
	struct ghvm_extent *extents;
	size_t n_extents;
	struct ghvm_parcel_handle handle;
	bool sure;
	struct ghvm_parcel_handle after;
	bool after_known;
	struct ghvm_parcel *probe;
	bool assigns;
	unsigned int depth;
	bool refused;
	bool unproven;
	bool tag_named;
	uint8_t change;
	unsigned int entry;
};

void ghvm_parcel_init(struct ghvm_parcel *p, struct ghvm_host *host, struct ghvm_rm *rm,
		      struct ghvm_ledger *ledger, const struct ghvm_parcel_config *config);

/* Close the pin: the pages go back, or into the quarantine while they are guarded. */
void ghvm_parcel_done(struct ghvm_parcel *p);

/**
 * ghvm_parcel_pin() - pin memory and charge its entries
 * @memfd: populated, borrowed; @size: bytes, page aligned, from its start
 *
 * Return: 0, OURS; -E2BIG the host's entry budget, -ENOSPC its parcels; -ENOMEM; -EFAULT
 * @memfd is shorter, or cannot be pinned for long; host's errno.
 */
int ghvm_parcel_pin(struct ghvm_parcel *p, int memfd, uint64_t size, struct ghvm_error *err);

/* Aligned blocks of 2 MiB that its extents cover; 0 too if the module does not tell them. */
uint64_t ghvm_parcel_huge(struct ghvm_parcel *p);

/* Write into OURS. Return: 0; -ERANGE; host's errno. */
int ghvm_parcel_write(struct ghvm_parcel *p, uint64_t offset, const void *buf, size_t len,
		      struct ghvm_error *err);

/* OURS -> GUARDED, promised to @vmid. No process may map the memory of a lent one by now. */
int ghvm_parcel_guard(struct ghvm_parcel *p, struct ghvm_vmid vmid, uint64_t incarnation,
		      struct ghvm_error *err);

/*
 * Say in its tag, or when it will be guarded, what a transaction does with it: of GHVM_TAG_CHANGE.
 * Return: 0; host's errno: it says what it said before.
 */
int ghvm_parcel_mark(struct ghvm_parcel *p, uint8_t change, struct ghvm_error *err);

/**
 * ghvm_parcel_give() - GUARDED -> LENT or SHARED, as configured
 *
 * Return: 0. On failure the state says what is known: GUARDED if RM has nothing of it,
 * else PARTIAL or LOST, from where ghvm_parcel_reclaim() gets it back.
 */
int ghvm_parcel_give(struct ghvm_parcel *p, struct ghvm_error *err);

/* RM has acted on its handle as on one that is there: so it is, and the tag says so. */
void ghvm_parcel_confirm(struct ghvm_parcel *p);

/**
 * ghvm_parcel_show() - ask RM under which handle it has just these pages
 *
 * Of a few entries only, as one message has to say them all.
 *
 * Return: 1 under @p's, which is sure now; 0 nobody knows: it does not find them, or cannot look;
 * -EBADMSG under another one: @p is LOST.
 */
int ghvm_parcel_show(struct ghvm_parcel *p, struct ghvm_error *err);

/**
 * ghvm_parcel_reclaim() - any guarded state -> GUARDED: RM has nothing of it any more
 *
 * Lent memory comes back zeroed. The VM must not run; if it has accepted the
 * parcel it must have been reset. Right to repeat after a failure.
 *
 * Return: 0; -EREMOTEIO with MEM_INUSE: the VM still has it; -ETIMEDOUT, -EHOSTDOWN,
 * -EBADMSG: not known; -EBUSY, -ENOTUNIQ: a lost handle could not be found out.
 */
int ghvm_parcel_reclaim(struct ghvm_parcel *p, struct ghvm_error *err);

/* GUARDED -> OURS. Nothing is done if OURS or UNPINNED. */
int ghvm_parcel_unguard(struct ghvm_parcel *p, struct ghvm_error *err);

/**
 * ghvm_parcel_adopt() - take over a guarded pin
 * @p: initialised; its configuration is replaced by what @tag says
 * @pin: owned by @p on success
 *
 * Return: 0; LENT or SHARED if the tag has the handle, else LOST; -ENOSPC; host's errno.
 */
int ghvm_parcel_adopt(struct ghvm_parcel *p, int pin, const struct ghvm_tag *tag,
		      struct ghvm_error *err);

/* What the guest may do with memory: RAM is label 0 or lent, all else is data. */
uint8_t ghvm_parcel_rights(uint32_t label, bool lend, bool readonly);

/* Pages in it, and whether a guest may own them. */
uint64_t ghvm_parcel_pages(const struct ghvm_parcel *p);
bool ghvm_parcel_guarded(const struct ghvm_parcel *p);
