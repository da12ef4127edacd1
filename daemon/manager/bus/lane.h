/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue for calls that every user may make and that take the manager long: GetManagedObjects, and
 * scans of the descriptor folders. They are handled when the manager is idle, one per loop turn. Calls of
 * root are first, then users take turns, so that a user with many calls delays only these. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

struct lane;

#define LANE_PER_SENDER 2

/* Also queues GetManagedObjects() of the root object. */
int lane_new(struct bus *b, struct lane **ret);
/* Accepts NULL. */
void lane_free(struct lane *l);

/**
 * lane_turn() - is it the turn of @m?
 * Return: 1: yes; 0: not yet, the method returns 1 and is later called again with @m; negative: the
 * sender has too many waiting calls, with @error set.
 */
int lane_turn(struct lane *l, sd_bus_message *m, sd_bus_error *error);
