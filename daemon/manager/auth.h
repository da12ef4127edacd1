/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * May this caller do that? Asked of the bus and of polkit, without waiting.
 *
 * The caller is its bus name: the bus knows its uid and polkit asks the bus too. What can
 * be read from /proc about a pid is never used, since pids are reused.
 */
#pragma once

#include <systemd/sd-bus.h>

struct auth;

#define AUTH_PER_SENDER 8
#define AUTH_MAX 64

/**
 * auth_new() - @conn: borrowed
 * @kick: called after something was sent outside of a method
 */
int auth_new(sd_bus *conn, void (*kick)(void *data), void *data, struct auth **ret);
/* Pending questions are forgotten: their callers see the connection end. Accepts NULL. */
void auth_free(struct auth *a);

/**
 * auth_check() - first thing in a method that changes something
 * @action: of polkit
 *
 * Root, and who runs this manager, may do everything.
 *
 * Return: 1: yes, and @m is rewound; 0: not known yet, the method is called again
 * (return 1 from it); negative: no, @error says why.
 */
int auth_check(struct auth *a, sd_bus_message *m, const char *action, sd_bus_error *error);
