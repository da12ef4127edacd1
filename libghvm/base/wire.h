/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Little-endian cursors over byte buffers.
 *
 * The first access past the end marks a cursor bad and it stays bad: a codec
 * reads or writes its whole message and checks once, at the end.
 *
 * Comments that begin with an @ are contracts, which ./dev prove proves (HACKING.md). An integer is
 * taken apart and put together by arithmetic, so the byte order of the machine has no part in it.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * struct ghvm_put - where the next bytes go
 * @buf: borrowed
 * @cap: bytes at @buf
 * @len: bytes written
 * @bad: something did not fit
 */
struct ghvm_put {
	uint8_t *buf;
	size_t cap;
	size_t len;
	bool bad;
};

/**
 * struct ghvm_get - where the next bytes come from
 * @buf: borrowed, moves
 * @len: bytes left
 * @bad: something was missing
 */
struct ghvm_get {
	const uint8_t *buf;
	size_t len;
	bool bad;
};

/*@
  predicate put_valid(struct ghvm_put *w) =
    \valid(w) && w->len <= w->cap && \valid(w->buf + (0 .. w->cap - 1)) &&
    \separated(w, w->buf + (0 .. w->cap - 1));
  predicate get_valid(struct ghvm_get *g) =
    \valid(g) && \valid_read(g->buf + (0 .. g->len - 1)) &&
    \separated(g, g->buf + (0 .. g->len - 1));

  // the number that n bytes at p are
  logic integer octets16(uint8_t *p) = p[0] + 0x100 * p[1];
  logic integer octets32(uint8_t *p) = octets16(p) + 0x10000 * octets16(p + 2);
  logic integer octets64(uint8_t *p) = octets32(p) + 0x100000000 * octets32(p + 4);

  // n bytes have been written or read, or did not fit
  predicate put_moved{A, B}(struct ghvm_put *w, integer n) =
    (\at(w->bad, B) <==> \at(w->bad, A) || n > \at(w->cap - w->len, A)) &&
    \at(w->len, B) == \at(w->len, A) + (\at(w->bad, B) ? 0 : n);
  predicate get_moved{A, B}(struct ghvm_get *g, integer n) =
    (\at(g->bad, B) <==> \at(g->bad, A) || n > \at(g->len, A)) &&
    (\at(g->bad, B) ==> \at(g->len, B) == \at(g->len, A) && \at(g->buf, B) == \at(g->buf, A)) &&
    (!\at(g->bad, B) ==>
      \at(g->len, B) == \at(g->len, A) - n && \at(g->buf, B) == \at(g->buf, A) + n);

  // if there was room for n bytes, these have been written, perhaps in some steps
  predicate put_all{A, B}(struct ghvm_put *w, integer n) =
    !\at(w->bad, A) && n <= \at(w->cap - w->len, A) ==>
      !\at(w->bad, B) && \at(w->len, B) == \at(w->len, A) + n;

  // what is left has the same end as before
  predicate get_rest{A, B}(struct ghvm_get *g) =
    \at(g->len, B) <= \at(g->len, A) && \at(g->buf + g->len, B) == \at(g->buf + g->len, A);
*/

/*@
  requires put_valid(w);
  requires \valid_read(p + (0 .. n - 1));
  requires \separated(p + (0 .. n - 1), w, w->buf + (0 .. w->cap - 1));
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures put_valid(w) && put_moved{Pre, Post}(w, n);
  ensures !w->bad ==> \forall integer i; 0 <= i < n ==> w->buf[\old(w->len) + i] == p[i];
  ensures w->bad ==> \forall integer i; 0 <= i < w->cap ==> w->buf[i] == \old(w->buf[i]);
*/
static inline void ghvm_put_octets(struct ghvm_put *w, const uint8_t *p, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	if (n)
		memcpy(w->buf + w->len, p, n);
	w->len += n;
}

/* Not proved: the cast is beyond the prover's model of memory. */
/*@
  requires put_valid(w);
  requires \valid_read((const char *)p + (0 .. n - 1));
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures put_valid(w) && put_moved{Pre, Post}(w, n);
*/
static inline void ghvm_put_bytes(struct ghvm_put *w, const void *p, size_t n)
{
	ghvm_put_octets(w, (const uint8_t *)p, n);
}

/*@
  requires put_valid(w);
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures put_valid(w) && put_moved{Pre, Post}(w, n);
  ensures !w->bad ==> \forall integer i; 0 <= i < n ==> w->buf[\old(w->len) + i] == 0;
  ensures w->bad ==> \forall integer i; 0 <= i < w->cap ==> w->buf[i] == \old(w->buf[i]);
*/
static inline void ghvm_put_zero(struct ghvm_put *w, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	memset(w->buf + w->len, 0, n);
	w->len += n;
}

/*@
  requires put_valid(w);
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures put_valid(w) && put_moved{Pre, Post}(w, 1);
  ensures !w->bad ==> w->buf[\old(w->len)] == v;
*/
static inline void ghvm_put_u8(struct ghvm_put *w, uint8_t v)
{
	ghvm_put_octets(w, &v, 1);
}

/*@
  requires put_valid(w);
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures put_valid(w) && put_moved{Pre, Post}(w, 2);
  ensures !w->bad ==> w->buf[\old(w->len)] == (uint8_t)v;
  ensures !w->bad ==> w->buf[\old(w->len) + 1] == (uint8_t)(v >> 8);
*/
static inline void ghvm_put_u16(struct ghvm_put *w, uint16_t v)
{
	const uint8_t b[] = { (uint8_t)v, (uint8_t)(v >> 8) };

	ghvm_put_octets(w, b, sizeof(b));
}

/*@
  requires put_valid(w);
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures put_valid(w) && put_moved{Pre, Post}(w, 4);
  ensures !w->bad ==> w->buf[\old(w->len)] == (uint8_t)v;
  ensures !w->bad ==> w->buf[\old(w->len) + 1] == (uint8_t)(v >> 8);
  ensures !w->bad ==> w->buf[\old(w->len) + 2] == (uint8_t)(v >> 16);
  ensures !w->bad ==> w->buf[\old(w->len) + 3] == (uint8_t)(v >> 24);
*/
static inline void ghvm_put_u32(struct ghvm_put *w, uint32_t v)
{
	const uint8_t b[] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
			      (uint8_t)(v >> 24) };

	ghvm_put_octets(w, b, sizeof(b));
}

/*@
  requires put_valid(w);
  assigns w->len, w->bad, w->buf[w->len .. w->cap - 1];
  ensures put_valid(w) && put_moved{Pre, Post}(w, 8);
  ensures !w->bad ==> w->buf[\old(w->len)] == (uint8_t)v;
  ensures !w->bad ==> w->buf[\old(w->len) + 1] == (uint8_t)(v >> 8);
  ensures !w->bad ==> w->buf[\old(w->len) + 2] == (uint8_t)(v >> 16);
  ensures !w->bad ==> w->buf[\old(w->len) + 3] == (uint8_t)(v >> 24);
  ensures !w->bad ==> w->buf[\old(w->len) + 4] == (uint8_t)(v >> 32);
  ensures !w->bad ==> w->buf[\old(w->len) + 5] == (uint8_t)(v >> 40);
  ensures !w->bad ==> w->buf[\old(w->len) + 6] == (uint8_t)(v >> 48);
  ensures !w->bad ==> w->buf[\old(w->len) + 7] == (uint8_t)(v >> 56);
*/
static inline void ghvm_put_u64(struct ghvm_put *w, uint64_t v)
{
	const uint8_t b[] = { (uint8_t)v,	  (uint8_t)(v >> 8),  (uint8_t)(v >> 16),
			      (uint8_t)(v >> 24), (uint8_t)(v >> 32), (uint8_t)(v >> 40),
			      (uint8_t)(v >> 48), (uint8_t)(v >> 56) };

	ghvm_put_octets(w, b, sizeof(b));
}

/*@
  requires get_valid(g);
  requires \valid(p + (0 .. n - 1));
  requires \separated(p + (0 .. n - 1), g, g->buf + (0 .. g->len - 1));
  assigns g->len, g->bad, g->buf, p[0 .. n - 1];
  ensures get_valid(g);
  ensures get_moved{Pre, Post}(g, n) && get_rest{Pre, Post}(g);
  ensures !g->bad ==> \forall integer i; 0 <= i < n ==> p[i] == \old(g->buf)[i];
  ensures g->bad ==> \forall integer i; 0 <= i < n ==> p[i] == 0;
*/
static inline void ghvm_get_octets(struct ghvm_get *g, uint8_t *p, size_t n)
{
	if (g->bad || n > g->len) {
		g->bad = true;
		memset(p, 0, n);
		return;
	}
	if (n)
		memcpy(p, g->buf, n);
	g->buf += n;
	g->len -= n;
}

/* Not proved, as ghvm_put_bytes() */
/*@
  requires get_valid(g);
  requires \valid((char *)p + (0 .. n - 1));
  assigns g->len, g->bad, g->buf, ((char *)p)[0 .. n - 1];
  ensures get_valid(g);
  ensures get_moved{Pre, Post}(g, n) && get_rest{Pre, Post}(g);
*/
static inline void ghvm_get_bytes(struct ghvm_get *g, void *p, size_t n)
{
	ghvm_get_octets(g, (uint8_t *)p, n);
}

/*@
  requires get_valid(g);
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g);
  ensures get_moved{Pre, Post}(g, n) && get_rest{Pre, Post}(g);
*/
static inline void ghvm_get_skip(struct ghvm_get *g, size_t n)
{
	if (g->bad || n > g->len) {
		g->bad = true;
		return;
	}
	g->buf += n;
	g->len -= n;
}

/*@
  requires get_valid(g);
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g) && get_moved{Pre, Post}(g, 1) && get_rest{Pre, Post}(g);
  ensures g->bad ==> \result == 0;
  ensures !g->bad ==> \result == \old(g->buf)[0];
*/
static inline uint8_t ghvm_get_u8(struct ghvm_get *g)
{
	uint8_t v;

	ghvm_get_octets(g, &v, 1);
	return v;
}

/*@
  requires get_valid(g);
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g) && get_moved{Pre, Post}(g, 2) && get_rest{Pre, Post}(g);
  ensures g->bad ==> \result == 0;
  ensures !g->bad ==> \result == octets16(\old(g->buf));
*/
static inline uint16_t ghvm_get_u16(struct ghvm_get *g)
{
	uint8_t b[2];

	ghvm_get_octets(g, b, sizeof(b));
	return (uint16_t)(b[0] + b[1] * 0x100U);
}

/*@
  requires get_valid(g);
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g) && get_moved{Pre, Post}(g, 4) && get_rest{Pre, Post}(g);
  ensures g->bad ==> \result == 0;
  ensures !g->bad ==> \result == octets32(\old(g->buf));
*/
static inline uint32_t ghvm_get_u32(struct ghvm_get *g)
{
	uint8_t b[4];

	ghvm_get_octets(g, b, sizeof(b));
	return b[0] + b[1] * 0x100U + b[2] * 0x10000U + b[3] * 0x1000000U;
}

/*@
  requires get_valid(g);
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g) && get_moved{Pre, Post}(g, 8) && get_rest{Pre, Post}(g);
  ensures g->bad ==> \result == 0;
  ensures !g->bad ==> \result == octets64(\old(g->buf));
*/
static inline uint64_t ghvm_get_u64(struct ghvm_get *g)
{
	uint8_t b[8];
	uint32_t low, high;

	ghvm_get_octets(g, b, sizeof(b));
	low = b[0] + b[1] * 0x100U + b[2] * 0x10000U + b[3] * 0x1000000U;
	high = b[4] + b[5] * 0x100U + b[6] * 0x10000U + b[7] * 0x1000000U;
	return low + high * 0x100000000U;
}

/* 0 if the message was long enough and is used up, -EBADMSG otherwise. */
/*@
  requires \valid_read(g);
  assigns \nothing;
  ensures \result == (g->bad || g->len > 0 ? -EBADMSG : 0);
*/
static inline int ghvm_get_end(const struct ghvm_get *g)
{
	return g->bad || g->len ? -EBADMSG : 0;
}
