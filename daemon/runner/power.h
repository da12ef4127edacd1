/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ask a guest to power off by pressing the power key repeatedly, until a time limit.
 *
 * Pure: the time is passed in milliseconds, the level of the key is set by a callback.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define POWER_HOLD_MS 300    /* longer than the guest's debounce time */
#define POWER_AGAIN_MS 10000 /* repeated, as a booting guest has no driver for the key yet */
#define POWER_NEVER UINT64_MAX

/**
 * struct power - a request to power off
 * @key: sets the level of the key; @data: borrowed
 * @asked: a power-off was requested
 * @deadline: end of the time limit
 * @next: when the level of the key changes next
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

/* Initial state: no request, the key is up. */
void power_init(struct power *p, void (*key)(void *data, bool down), void *data);

/* Request a power-off at @now, with a time limit of @timeout_ms; a second request is ignored. */
void power_ask(struct power *p, uint64_t now, uint64_t timeout_ms);

/* Return: true: the time limit is up. */
bool power_tick(struct power *p, uint64_t now);

/* When to call power_tick() next; POWER_NEVER without a request. */
uint64_t power_next(const struct power *p);
