/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lane for calls that everyone may make and that take the manager long: all objects at once, a
 * look at all descriptors. Each waits until nothing else is to be done, one a turn; root's go first,
 * then one of each user in turn. So whoever makes many of them waits for himself. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

struct lane;

#define LANE_PER_SENDER 2

/* Also puts GetManagedObjects() of all objects into it. */
int lane_new(struct bus *b, struct lane **ret);
/* Accepts NULL. */
void lane_free(struct lane *l);

/**
 * lane_turn() - is it the turn of @m?
 * Return: 1: yes, now; 0: not yet, the method is called again with @m as it was (return 1 from
 * it); negative: its sender has too many here, as @error says.
 */
int lane_turn(struct lane *l, sd_bus_message *m, sd_bus_error *error);
