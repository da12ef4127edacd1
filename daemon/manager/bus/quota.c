/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All claims are in one list, which is short because further ones are refused.
 */
#include "daemon/manager/bus/quota.h"

#include <stdint.h>

#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/bus/peer.h"

#define WRITE_QUEUE_HIGH_WATER 4096 /* messages; with more, calls are refused */
#define JOBS_PER_UID 8		    /* running jobs and open transactions of a user */

void quota_claim(struct quota *q, uid_t uid, struct quota_claim *c)
{
	*c = (struct quota_claim){ .quota = q, .next = q->first, .uid = uid };
	q->first = c;
}

void quota_release(struct quota_claim *c)
{
	struct quota_claim **at;

	if (!c->quota)
		return;
	for (at = &c->quota->first; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	*c = (struct quota_claim){};
}

static unsigned int of_user(const struct quota *q, uid_t uid)
{
	unsigned int n = 0;

	for (const struct quota_claim *c = q->first; c; c = c->next)
		n += c->uid == uid;
	return n;
}

int quota_check(const struct quota *q, sd_bus *conn, uid_t uid, sd_bus_error *ret)
{
	uint64_t queued = 0;
	int r = sd_bus_get_n_queued_write(conn, &queued);

	if (r < 0 || peer_trusted(uid))
		return r < 0 ? r : 0;
	if (queued > WRITE_QUEUE_HIGH_WATER)
		return sd_bus_error_set(ret, FAILURE_QUOTA,
					"too many replies of the manager are waiting to be read by "
					"clients of the bus: read them and try again");
	if (of_user(q, uid) >= JOBS_PER_UID)
		return sd_bus_error_setf(ret, FAILURE_QUOTA,
					 "this user already has %d running jobs or open "
					 "transactions: wait until one ends",
					 JOBS_PER_UID);
	return 0;
}
