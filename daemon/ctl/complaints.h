/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong with a descriptor, for people and for programs.
 */
#pragma once

#include "libghvm/spec.h"

#include <stdio.h>

/* A line each, and under it the line of the file with a mark where it is meant. */
void complaints_print(const struct ghvm_complaints *all, FILE *to);
void complaints_print_json(const struct ghvm_complaints *all);
