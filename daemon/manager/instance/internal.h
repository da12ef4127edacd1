/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of struct guest, for instance/ only.
 */
#pragma once

#include "daemon/manager/instance/instance.h"

void guest_find_needs(struct guest *g);
/* Return: NULL if there is no such need. */
struct guest_need *guest_find_need(struct guest *g, enum ghvm_link_kind kind, uint16_t index);

/* Make the plan from the spec, the origin and @in. */
int guest_plan(struct guest *g, struct ghvm_plan_input *in, struct ghvm_error *err);
struct stat;
void guest_file_of(const struct stat *st, struct store_file *ret);
/* The number of CPUs of the host; 0: unknown. */
unsigned int guest_host_cpus(void);
/* Set the entries in the plan to those that the pins of @m have. */
void guest_count_entries(struct guest *g, struct ghvm_machine *m);
