/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capture files of resource manager messages, for wireshark.
 *
 * A packet is an unfragmented message: the 8-byte header (abi C.1) and the payload. The link type is
 * USER0; the direction is in the packet's flags.
 */
#pragma once

#include "ghvm/trace.h"

#include <stdio.h>

/* Write the head of a file. Errors are kept in @f, see ferror(). */
void pcapng_begin(FILE *f);

/* Write one message. Errors are kept in @f. */
void pcapng_add(FILE *f, const struct ghvm_trace_message *m);
