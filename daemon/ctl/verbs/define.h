/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * define and undefine, and how a descriptor is sent, which run does as well.
 */
#pragma once

#include "daemon/ctl/client/descriptor.h"

#include <stddef.h>

/* As descriptor_send(), of a text read from @file; prints what is wrong. Return: enum ctl_status. */
int define_send(const char *name, const char *file, const char *text, size_t len,
		struct descriptor_sent *ret);
