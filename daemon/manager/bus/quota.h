/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The quota of a user on the bus: running jobs, except stops, and open transactions. Thread: main.
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>

/**
 * struct quota_claim - one counted thing; embedded in it
 * @quota: that counts it; NULL: not counted
 */
struct quota_claim {
	struct quota *quota;
	struct quota_claim *next;
	uid_t uid;
};

/* The claims of all users; empty if zeroed. */
struct quota {
	struct quota_claim *first;
};

/* Count @c, which is not counted yet, for @uid. */
void quota_claim(struct quota *q, uid_t uid, struct quota_claim *c);
/* Stop counting @c; does nothing if it is not counted. */
void quota_release(struct quota_claim *c);

/* Refuse, with @ret set, if the user has too many claims or clients do not read replies. */
int quota_check(const struct quota *q, sd_bus *conn, uid_t uid, sd_bus_error *ret);
