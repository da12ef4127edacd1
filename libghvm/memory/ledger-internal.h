/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What ledger.c and ledger-pair.c share.
 */
#pragma once

#include "libghvm/memory/ledger.h"

#include <assert.h>

static inline void lock(struct ghvm_ledger *l)
{
	(void)pthread_mutex_lock(&l->lock); /* cannot fail */
}

static inline void unlock(struct ghvm_ledger *l)
{
	(void)pthread_mutex_unlock(&l->lock);
}

/* An owned entry. Called with the lock. */
static inline struct ghvm_ledger_parcel *held_entry(struct ghvm_ledger *l, unsigned int entry)
{
	assert(entry < GHVM_LEDGER_PARCELS && l->parcels[entry].used && l->parcels[entry].owned);
	return &l->parcels[entry];
}
