/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking a guest to power off: the key, again and again, until patience is over.
 *
 * Pure: time comes in as milliseconds, levels of the key go out by a callback.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define POWER_HOLD_MS 300    /* beyond the guest's debouncing */
#define POWER_AGAIN_MS 10000 /* a guest that boots has no driver for the key yet */
#define POWER_NEVER UINT64_MAX

/**
 * struct power - a request to power off
 * @key: the key goes down or up; borrowed @data
 * @asked: somebody did
 * @deadline: when patience is over
 * @next: when the key changes next
 *
 * Thread: main.
 */
struct power {
	void (*key)(void *data, bool down);
	void *data;
	bool asked;
	bool down;
	uint64_t deadline;
	uint64_t next;
};

/* Nothing is asked, the key is up. */
void power_init(struct power *p, void (*key)(void *data, bool down), void *data);

/* Ask, at @now, with @timeout_ms of patience; asking again changes nothing. */
void power_ask(struct power *p, uint64_t now, uint64_t timeout_ms);

/* Return: true: patience is over. */
bool power_tick(struct power *p, uint64_t now);

/* When to tick next; POWER_NEVER if nothing was asked. */
uint64_t power_next(const struct power *p);
