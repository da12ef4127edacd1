/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files that make up a guest share.
 */
#pragma once

#include "daemon/manager/instance/instance.h"

void guest_find_needs(struct guest *g);
/* NULL: it is not needed. */
struct guest_need *guest_find_need(struct guest *g, enum ghvm_link_kind kind, uint16_t index);

/* Make the plan of spec, origin, and what @in has already. */
int guest_plan(struct guest *g, struct ghvm_plan_input *in, struct ghvm_error *err);
struct stat;
void guest_file_of(const struct stat *st, struct store_file *ret);
