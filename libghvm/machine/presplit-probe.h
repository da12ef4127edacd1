/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does a LEND unmap what it lends? Tried out with a few pages (abi K.3, decision 11).
 *
 * The one place where lent memory is looked at on purpose. The pages are a machine's, which is
 * never configured: pinned and guarded before RM hears of them, and reclaimed and given back by
 * the same teardown as every other machine's. A witness process, which may die, holds a mapping
 * of each page and loads one byte of it while it is lent: if the hypervisor has taken the page
 * away, that is a SIGBUS for the witness, and nothing for the kernel (abi K.4).
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/host.h"
#include "libghvm/rm/rpc.h"

#include <stddef.h>

#define GHVM_PRESPLIT_PAGES 4

/**
 * struct ghvm_presplit_witness - a process that looks at lent pages
 * @open: map each of the @memfds, borrowed, of one page, in the witness, load a byte of it, and
 *        wait. Called before any of it is pinned
 * @look: load a byte of page @i again. 1: that worked; 0: it was stopped; a negative errno: not
 *        known. Called once each, while the page is lent
 * @close: remove all mappings; also called after a failed @open
 *
 * A witness only loads, in user space: the kernel must not touch a lent page, so it has no other
 * use of the mapping, and cannot leave a core dump of it.
 */
struct ghvm_presplit_witness {
	void *data;
	int (*open)(void *data, const int memfds[GHVM_PRESPLIT_PAGES]);
	int (*look)(void *data, size_t i);
	void (*close)(void *data);
};

/**
 * ghvm_presplit_probe() - lend, look, reclaim
 *
 * A page that can still be read settles it. That none can settles it only if no parcel was ever
 * made before these, as a block that was split once stays so, and if the pages do not
 * all lie in one block, which may have been split by the boot.
 *
 * Thread: any but the dispatcher's. What could not be reclaimed is in the module's quarantine.
 *
 * Return: 1 SHARE and RECLAIM must come first; 0 they need not; -ENODATA not clear;
 * -EOPNOTSUPP a firmware that has to be told of lent pages, and may not forgive a look; other
 * errors of the machine, or of @w.
 */
int ghvm_presplit_probe(struct ghvm_host *host, struct ghvm_rm *rm,
			const struct ghvm_presplit_witness *w, struct ghvm_error *err);
