/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Captures of resource manager messages, for wireshark and its like.
 *
 * A packet is the message as it would be in one piece: the 8 bytes of its header (abi C.1) and
 * the payload; link type USER0, direction in the packet's flags.
 */
#pragma once

#include "libghvm/trace.h"

#include <stdio.h>

/* The head of a file. Errors stay in @f. */
void pcapng_begin(FILE *f);

/* One message. Errors stay in @f. */
void pcapng_add(FILE *f, const struct ghvm_trace_message *m);
