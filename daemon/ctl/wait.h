/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waits of whoever called: nothing takes longer than a second without a word about what it is
 * waited for. On a terminal that is one line with a spinner, gone when the wait is over; elsewhere
 * a line on standard error whenever what is waited for changes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define WAIT_TEXT 256

/**
 * struct wait - one of them; zero and wait_for() begin it
 * @began, @said: milliseconds of CLOCK_MONOTONIC; 0: not yet
 * @what: it is waited for that
 * @told: what was told last, off a terminal
 * @plain: lines, on a terminal too
 * @shown: there is a line on the terminal
 */
struct wait {
	uint64_t began;
	uint64_t said;
	char what[WAIT_TEXT];
	char told[WAIT_TEXT];
	bool plain;
	bool shown;
};

/* What is waited for: "NAME to power off". May change on the way. */
void wait_for(struct wait *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * wait_on() - let @bus work, and tell
 *
 * Return: 1 something came, look again; 0 nothing did for a moment; negative errno of the
 * connection.
 */
int wait_on(struct wait *w, sd_bus *bus);

/* Milliseconds since it began. */
uint64_t wait_ms(const struct wait *w);

/* Before anything else is printed, and at the end: no line of it stays on the terminal. */
void wait_clear(struct wait *w);
