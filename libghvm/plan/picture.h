/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest-physical map of a plan, for its text and its JSON.
 */
#pragma once

#include "libghvm/base/json.h"
#include "libghvm/plan/plan.h"

#include <stdint.h>
#include <stdio.h>

#define PLAN_SIZE_TEXT 24

/* "512M", "4K": exact, in the largest possible unit. */
const char *plan_size_text(uint64_t v, char buf[PLAN_SIZE_TEXT]);

/* A bar with a row for each place and hole; part of the plan's text. */
void plan_draw_map(FILE *f, const struct ghvm_plan *p, const struct plan_look *look);

/* The member "map": an array of the places. */
void plan_json_map(struct ghvm_json *j, const struct ghvm_plan *p);
