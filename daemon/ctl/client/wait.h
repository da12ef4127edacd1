/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting with a progress message. After a second, the user is told what ghvmctl waits for: on a
 * terminal by a line with a spinner, which is erased at the end; elsewhere by a line on standard
 * error each time the text changes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define WAIT_TEXT 256

/**
 * struct wait - one wait; begins zeroed, with wait_for()
 * @began, @said: milliseconds of CLOCK_MONOTONIC; 0: not yet
 * @what: completes "waiting for ..."
 * @told: last text printed, if not on a terminal
 * @plain: print lines even on a terminal
 * @shown: the spinner line is on the terminal
 */
struct wait {
	uint64_t began;
	uint64_t said;
	char what[WAIT_TEXT];
	char told[WAIT_TEXT];
	bool plain;
	bool shown;
};

/* Set or change the text that completes "waiting for ...", as "NAME to power off". */
void wait_for(struct wait *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * wait_on() - process @bus or wait shortly for it, and show progress
 *
 * Return: 1 a message was processed; 0 there was none; negative errno of the connection.
 */
int wait_on(struct wait *w, sd_bus *bus);

/* Milliseconds since the wait began. */
uint64_t wait_ms(const struct wait *w);

/* Erase the spinner line. Call it before printing anything else, and at the end. */
void wait_clear(struct wait *w);
