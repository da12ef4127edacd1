/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For Frama-C, which has no headers of the kernel: their names of integers.
 */
#pragma once

#include <stdint.h>

typedef uint8_t __u8;
typedef uint16_t __u16;
typedef int32_t __s32;
typedef uint32_t __u32;
typedef uint64_t __u64;
#define __aligned_u64 __u64 __attribute__((aligned(8)))
