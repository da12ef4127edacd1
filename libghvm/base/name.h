/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of VMs.
 */
#pragma once

#include <stdbool.h>

/* Whether @name may name a VM. */
bool ghvm_name_valid(const char *name);
