/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A unit's descriptor store: the notify socket of a systemd, which only keeps names.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define FAKE_SYSTEMD_MAX 128

/**
 * struct fake_systemd - a notify socket and the messages that it received
 * @stored: names now in the store, in order of arrival
 */
struct fake_systemd {
	int sock;
	int stop[2];
	pthread_t thread;
	pthread_mutex_t lock;
	char stored[FAKE_SYSTEMD_MAX][64];
	size_t n;
	unsigned int pushes;
	unsigned int barriers;
};

/* Sets NOTIFY_SOCKET; stop() unsets it. */
void fake_systemd_start(struct fake_systemd *s);
void fake_systemd_stop(struct fake_systemd *s);
bool fake_systemd_has(struct fake_systemd *s, const char *name);

/* The current number; the number of pushes; the number of waits. */
size_t fake_systemd_count(struct fake_systemd *s);
unsigned int fake_systemd_pushes(struct fake_systemd *s);
unsigned int fake_systemd_barriers(struct fake_systemd *s);
