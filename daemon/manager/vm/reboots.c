/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Count and delay reboots in place.
 */
#include "daemon/manager/vm/reboots.h"

void reboots_began(struct reboots *r, uint64_t now)
{
	r->began = now;
}

int reboots_again(struct reboots *r, uint64_t now)
{
	int pause = REBOOTS_FIRST_MS;

	r->n++;
	r->hasty = now - r->began < REBOOTS_HASTY_MS ? r->hasty + 1 : 0;
	if (r->hasty > REBOOTS_HASTY_MAX)
		return -1;
	if (r->hasty <= REBOOTS_AT_ONCE)
		return 0;
	for (unsigned int i = REBOOTS_AT_ONCE + 1; i < r->hasty && pause < REBOOTS_LAST_MS; i++)
		pause *= 2;
	return pause < REBOOTS_LAST_MS ? pause : REBOOTS_LAST_MS;
}
