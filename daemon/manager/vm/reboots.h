/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits the rate of reboots in place, as StartLimit= does for starts of the unit.
 *
 * A guest that reboots repeatedly right after its start has a permanent problem, and each reboot costs the
 * host a second of work (decision 43). Pure: the time is passed in milliseconds.
 */
#pragma once

#include <stdint.h>

#define REBOOTS_HASTY_MS 10000 /* a reboot sooner than this after the start is hasty */
#define REBOOTS_HASTY_MAX 30   /* allowed in a row; as StartLimitBurst= of the unit */
#define REBOOTS_AT_ONCE 3      /* of these, without a pause */
#define REBOOTS_FIRST_MS 250   /* first pause, doubled each time */
#define REBOOTS_LAST_MS 5000   /* longest pause */

/**
 * struct reboots - reboots of a VM since its start; zero: none
 * @n: number of reboots; @hasty: number of hasty reboots in a row
 * @began: when the guest was started or rebooted last
 */
struct reboots {
	unsigned int n;
	unsigned int hasty;
	uint64_t began;
};

/* The guest has begun to run. */
void reboots_began(struct reboots *r, uint64_t now);

/* The guest reboots. Return: the pause in ms; -1: too many hasty reboots. */
int reboots_again(struct reboots *r, uint64_t now);
