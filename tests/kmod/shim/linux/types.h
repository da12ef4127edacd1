/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's names of types, so that kmod/ghvm_pure.h and examples/guest-module compile in user space. */
#pragma once

#include_next <linux/types.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define U64_MAX (~(u64)0)
