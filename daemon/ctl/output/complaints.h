/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Print the errors of a descriptor, as text or as JSON.
 */
#pragma once

#include "ghvm/spec.h"

#include <stdio.h>

/* Print one line per error, followed by the line of the file with a mark at the place. */
void complaints_print(const struct ghvm_complaints *all, FILE *to);
void complaints_print_json(const struct ghvm_complaints *all);
