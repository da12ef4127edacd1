/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Masks, alignment and checked arithmetic.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_BITS(hi, lo) ((UINT64_MAX >> (63 - (hi))) & (UINT64_MAX << (lo)))
#define GHVM_PAGE 4096UL /* RM's unit on every host (abi I.2) */
#define GHVM_KIB(n) ((uint64_t)(n) << 10)
#define GHVM_MIB(n) ((uint64_t)(n) << 20)
#define GHVM_GIB(n) ((uint64_t)(n) << 30)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*@
  requires mask != 0;
  assigns \nothing;
*/
static inline uint64_t ghvm_bits_get(uint64_t mask, uint64_t word)
{
	return (word & mask) >> __builtin_ctzll(mask);
}

static inline uint64_t ghvm_bits_put(uint64_t mask, uint64_t value)
{
	return (value << __builtin_ctzll(mask)) & mask;
}

/*@
  requires to > 0;
  assigns \nothing;
  ensures \result <==> v % to == 0;
*/
static inline bool ghvm_aligned(uint64_t v, uint64_t to)
{
	return v % to == 0;
}

/* Rounded up; false if that wraps. */
/*@
  requires to > 0 && \valid(ret);
  assigns *ret;
  ensures \result <==> v + to - 1 <= UINT64_MAX;
  ensures \result ==> *ret == (v + to - 1) - (v + to - 1) % to;
  ensures \result ==> v <= *ret < v + to;
*/
static inline bool ghvm_align_up(uint64_t v, uint64_t to, uint64_t *ret)
{
	if (v > UINT64_MAX - (to - 1))
		return false;
	v += to - 1;
	*ret = v - v % to;
	return true;
}
