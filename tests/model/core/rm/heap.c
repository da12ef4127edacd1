/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accounts of RM's heap: nothing is allocated here, but requests are refused when the real RM
 * would run out (abi K.2).
 *
 * The real heap is 196 KiB. Boot takes a part, and due to fragmentation a block needs several
 * times its size. The constants below were fitted to observations: no answer at 5,120 entries in
 * messages of 512, NOMEM at 7,800 in messages of 64 and at 8,250 in messages of 13.
 */
#include "tests/model/core/core.h"

#define LIMIT_DEBUG 132288
#define LIMIT_PRODUCTION 165056
#define CONFIG_PRODUCTION 7200 /* fitted: each VM is 450 entries fewer for all */
#define CONFIG_DEBUG 512       /* not measured */
#define MESSAGE_EIGHTHS 49     /* of the receive buffer, which is copied once */
#define MESSAGE_LESS 1108
#define ENTRIES_FACTOR 4 /* of a vector of entries, which grows by copying */
#define ENTRIES_EXTRA 3072
#define INIT_EXTRA 4096 /* overlay and parser, while VM_INIT runs */
#define INIT_VDEV 1800

void heap_init(struct heap *h, bool production)
{
	h->used = 0;
	h->limit = production ? LIMIT_PRODUCTION : LIMIT_DEBUG;
	h->config = production ? CONFIG_PRODUCTION : CONFIG_DEBUG;
}

static bool fits(const struct heap *h, uint64_t bytes)
{
	return bytes <= h->limit - h->used;
}

bool heap_take(struct heap *h, uint64_t bytes)
{
	if (!fits(h, bytes))
		return false;
	h->used += bytes;
	return true;
}

void heap_give(struct heap *h, uint64_t bytes)
{
	h->used -= bytes;
}

bool heap_fits_message(const struct heap *h, uint64_t bytes)
{
	uint64_t need = MESSAGE_EIGHTHS * bytes / 8;

	return need < MESSAGE_LESS || fits(h, need - MESSAGE_LESS);
}

bool heap_fits_entries(const struct heap *h, uint64_t n)
{
	return fits(h, ENTRIES_FACTOR * HEAP_ENTRY * n + ENTRIES_EXTRA);
}

bool heap_fits_init(const struct heap *h, unsigned int n_vdevs)
{
	return fits(h, INIT_EXTRA + (uint64_t)INIT_VDEV * n_vdevs);
}
