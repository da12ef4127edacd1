/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PL061 GPIO block, emulated by register exits, for the power key (gpio-keys on GHVM_POWER_KEY_LINE,
 * active high).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct pl061 - a block of eight lines
 * @ring: raise the guest's interrupt (an edge); any thread, called without the lock
 * @data: passed to @ring
 * @inputs: levels of the inputs; @outputs: levels set by the guest for lines with @dir 1
 * @is: level sensitive; @ibe: both edges; @iev: rising or high; @ie: enabled
 * @ris: raw interrupt status of edge sensitive lines
 *
 * Thread: any; @lock guards everything below it.
 */
struct pl061 {
	void (*ring)(void *data);
	void *data;
	pthread_mutex_t lock;
	uint8_t inputs;
	uint8_t outputs;
	uint8_t dir;
	uint8_t is;
	uint8_t ibe;
	uint8_t iev;
	uint8_t ie;
	uint8_t ris;
	uint8_t afsel;
};

void pl061_init(struct pl061 *p, void (*ring)(void *data), void *data);
void pl061_done(struct pl061 *p);

/* Reset to the state after power-on, with all inputs low. */
void pl061_reset(struct pl061 *p);

/* Accesses of the guest; @offset from the base. Unknown registers read as 0. */
uint64_t pl061_read(void *pl061, uint64_t offset, unsigned int size);
void pl061_write(void *pl061, uint64_t offset, unsigned int size, uint64_t value);

/* Set the level of an input. */
void pl061_set(struct pl061 *p, unsigned int line, bool high);
