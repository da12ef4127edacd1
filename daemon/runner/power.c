/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Press and release the power key at intervals.
 */
#include "daemon/runner/power.h"

static uint64_t later(uint64_t now, uint64_t ms)
{
	return ms < POWER_NEVER - now ? now + ms : POWER_NEVER;
}

void power_init(struct power *p, void (*key)(void *data, bool down), void *data)
{
	*p = (struct power){
		.key = key,
		.data = data,
		.deadline = POWER_NEVER,
		.next = POWER_NEVER,
	};
}

void power_ask(struct power *p, uint64_t now, uint64_t timeout_ms)
{
	if (p->asked)
		return;
	p->asked = true;
	p->deadline = later(now, timeout_ms);
	p->next = now;
}

bool power_tick(struct power *p, uint64_t now)
{
	if (!p->asked)
		return false;
	if (now >= p->deadline)
		return true;
	if (now < p->next)
		return false;
	p->down = !p->down;
	p->next = later(now, p->down ? POWER_HOLD_MS : POWER_AGAIN_MS - POWER_HOLD_MS);
	p->key(p->data, p->down);
	return false;
}

uint64_t power_next(const struct power *p)
{
	return p->next < p->deadline ? p->next : p->deadline;
}
