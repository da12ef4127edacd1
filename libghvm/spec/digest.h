/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Digest of a descriptor.
 */
#pragma once

#include "ghvm/spec.h"

/* 64-bit digest of all keys of a descriptor, in hexadecimal, to detect changes. */
void spec_digest(const struct ghvm_spec *spec, char ret[17]);
