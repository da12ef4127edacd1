/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory parcels: track the owner of each page.
 *
 * The one rule: a page that a guest may still own never returns to Linux. So a pin is guarded
 * before RM hears of its pages, and the guard is cleared only after RM has confirmed that no VM
 * has them. Pages in an unknown state count as the guest's.
 *
 *	NONE -pin-> OURS -guard-> GUARDED -lend, share-> LENT, SHARED
 *	     <-done-     <-unguard-       <---reclaim---   (or LOST, PARTIAL)
 *
 * A single reply of RM proves nothing, as it may be wrong. Two replies have to agree that RM has
 * no parcel of a page any more: RM has given the parcel back, and afterwards does not know its
 * handle; or twice RM does not know a handle that it has acted on before. The same holds for an
 * adopter.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/hyp/host.h"
#include "libghvm/memory/ledger.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/memory/tag.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_PARCEL_NAME_SIZE 24

/*
 * LOST: RM may have a parcel of these pages, with an unknown handle. PARTIAL: RM has a parcel
 * with a known handle that lacks some of the pages.
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

/**
 * struct ghvm_parcel_config - what a parcel is for
 * @name: for messages, "ram"
 * @vm_name: for the tag
 * @lend: accessible to the guest only; false: to guest and host
 * @rights: of the guest, GHVM_MEM_R and so on
 * @only_read: no guest ever gets another right than GHVM_MEM_R, so it may be a memfd that is sealed against writing
 * @presplit: SHARE and RECLAIM before each LEND, for hypervisors with a LEND that does not unmap
 *            parts of large blocks (abi K.3, decision 11)
 */
struct ghvm_parcel_config {
	char name[GHVM_PARCEL_NAME_SIZE];
	char vm_name[GHVM_NAME_SIZE];
	uint32_t label;
	uint64_t ipa;
	bool lend;
	uint8_t rights;
	bool only_read;
	bool presplit;
};

/**
 * struct ghvm_parcel - pinned memory and its owner; Thread: one at a time
 * @host, @rm, @ledger: borrowed, outlive the parcel
 * @pin: owned, -1 if UNPINNED
 * @extents: owned; NULL after adoption until they are needed
 * @handle: RM's handle if PARTIAL, LENT or SHARED; if LOST, only kept for the tag
 * @sure: RM has shown that it has the parcel under @handle (tag.h)
 * @after: if @after_known: its real handle is newer than this one
 * @probe: owned; a one-page parcel created to find a lost handle, until it is reclaimed
 * @assigns: the platform's firmware must be told of ownership changes (abi G)
 * @depth: 0; 1 for a probe, 2 for a probe's probe
 * @refused: LOST after a refusal: unless another reply contradicts it, RM has created nothing
 * @unproven: LOST, and RM may still have an earlier parcel of the pages as well
 * @tag_named: the tag has a handle. It is cleared before another parcel is created of the same
 *             pages: once the old one is gone, a reader of the tag would take the pages for the
 *             host's.
 * @change: GHVM_TAG_CHANGE flags of its tag
 * @with: VMID of the second guest of a shared parcel, @with_rights its rights; 0: there is none
 * @entry: its entry in the ledger, if not UNPINNED
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
	struct ghvm_vmid with;
	uint8_t with_rights;
	unsigned int entry;
};

void ghvm_parcel_init(struct ghvm_parcel *p, struct ghvm_host *host, struct ghvm_rm *rm,
		      struct ghvm_ledger *ledger, const struct ghvm_parcel_config *config);

/* Close the pin: the pages go back to Linux or, while guarded, into the quarantine. */
void ghvm_parcel_done(struct ghvm_parcel *p);

/**
 * ghvm_parcel_pin() - pin memory and charge its entries
 * @memfd: populated, borrowed; @size: bytes from its start, page aligned
 *
 * Return: 0, OURS; -E2BIG over the host's entry budget; -ENOSPC too many parcels; -ENOMEM;
 * -EFAULT @memfd is too short, sealed against writing (unless @only_read), or cannot be pinned for long; host's errno.
 */
int ghvm_parcel_pin(struct ghvm_parcel *p, int memfd, uint64_t size, struct ghvm_error *err);

/* Number of aligned 2 MiB blocks in its extents; 0 if the module does not tell them. */
uint64_t ghvm_parcel_huge(struct ghvm_parcel *p);

/* Write into OURS. Return: 0; -ERANGE; host's errno. */
int ghvm_parcel_write(struct ghvm_parcel *p, uint64_t offset, const void *buf, size_t len,
		      struct ghvm_error *err);

/* OURS: the parcel will be for @with as well, with @rights; its VMID is allocated. */
void ghvm_parcel_pair(struct ghvm_parcel *p, struct ghvm_vmid with, uint8_t rights);

/* OURS -> GUARDED, for @vmid. From now on no process may map memory to be lent. */
int ghvm_parcel_guard(struct ghvm_parcel *p, struct ghvm_vmid vmid, uint64_t incarnation,
		      struct ghvm_error *err);

/*
 * Set the GHVM_TAG_CHANGE flags of its tag, now or when it is guarded. Return: 0; host's errno,
 * the flags are unchanged.
 */
int ghvm_parcel_mark(struct ghvm_parcel *p, uint8_t change, struct ghvm_error *err);

/**
 * ghvm_parcel_give() - GUARDED -> LENT or SHARED, as configured
 *
 * Return: 0. On failure the state tells: GUARDED if RM has none of its pages, else PARTIAL or
 * LOST; ghvm_parcel_reclaim() takes it back.
 */
int ghvm_parcel_give(struct ghvm_parcel *p, struct ghvm_error *err);

/* RM has acted on the handle, which proves it: the parcel is sure, and its tag says so. */
void ghvm_parcel_confirm(struct ghvm_parcel *p);

/**
 * ghvm_parcel_show() - ask RM for the handle of exactly these pages
 *
 * Works only for lists that fit into one message.
 *
 * Return: 1, @p's handle is confirmed and sure; 0, RM does not find them or cannot look them up;
 * -EBADMSG, RM has them under another handle: @p is LOST.
 */
int ghvm_parcel_show(struct ghvm_parcel *p, struct ghvm_error *err);

/**
 * ghvm_parcel_reclaim() - any guarded state -> GUARDED: RM has none of its pages
 *
 * Lent memory comes back zeroed. The VM must not run; if it has accepted the parcel it must have
 * been reset. May be repeated after a failure.
 *
 * Return: 0; -EREMOTEIO with MEM_INUSE: the VM still has it; -ETIMEDOUT, -EHOSTDOWN, -EBADMSG:
 * unknown; -EBUSY, -ENOTUNIQ: a lost handle was not found.
 */
int ghvm_parcel_reclaim(struct ghvm_parcel *p, struct ghvm_error *err);

/* GUARDED -> OURS. No-op if OURS or UNPINNED. */
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

/* Rights of the guest: RAM (label 0 or lent) is executable, other memory is not. */
uint8_t ghvm_parcel_rights(uint32_t label, bool lend, bool readonly);

/* Number of pages, and whether a guest may own them. */
uint64_t ghvm_parcel_pages(const struct ghvm_parcel *p);
bool ghvm_parcel_guarded(const struct ghvm_parcel *p);
