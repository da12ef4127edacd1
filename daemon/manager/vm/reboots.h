/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often a guest may reboot in place, and how soon: what StartLimit= is for its unit, which
 * sees nothing of these.
 *
 * Pure: time comes in as milliseconds. A guest that reboots right after its start, again and again,
 * does so because it cannot go on; each time costs the host a second of work.
 */
#pragma once

#include <stdint.h>

#define REBOOTS_HASTY_MS 10000 /* a life that is shorter is a hasty one */
#define REBOOTS_HASTY_MAX 30   /* in a row; as StartLimitBurst= of the unit */
#define REBOOTS_AT_ONCE 3      /* of these, so many without a pause */
#define REBOOTS_FIRST_MS 250   /* then this, and twice as long each time, */
#define REBOOTS_LAST_MS 5000   /* up to this */

/**
 * struct reboots - of one VM since its start; zero: none
 * @n: of them; @hasty: the last so many came after a hasty life
 * @began: when the life of now did
 */
struct reboots {
	unsigned int n;
	unsigned int hasty;
	uint64_t began;
};

/* The guest runs. */
void reboots_began(struct reboots *r, uint64_t now);

/* It wants to reboot. Return: after how many ms it may; -1: not any more. */
int reboots_again(struct reboots *r, uint64_t now);
