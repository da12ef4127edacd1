/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Little-endian cursors over byte buffers.
 *
 * The first access past the end marks a cursor bad and it stays bad: a codec
 * reads or writes its whole message and checks once, at the end.
 */
#pragma once

#include <endian.h>
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

static inline void ghvm_put_bytes(struct ghvm_put *w, const void *p, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	if (n)
		memcpy(w->buf + w->len, p, n);
	w->len += n;
}

static inline void ghvm_put_zero(struct ghvm_put *w, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	memset(w->buf + w->len, 0, n);
	w->len += n;
}

static inline void ghvm_put_u8(struct ghvm_put *w, uint8_t v)
{
	ghvm_put_bytes(w, &v, 1);
}

static inline void ghvm_put_u16(struct ghvm_put *w, uint16_t v)
{
	v = htole16(v);
	ghvm_put_bytes(w, &v, sizeof(v));
}

static inline void ghvm_put_u32(struct ghvm_put *w, uint32_t v)
{
	v = htole32(v);
	ghvm_put_bytes(w, &v, sizeof(v));
}

static inline void ghvm_put_u64(struct ghvm_put *w, uint64_t v)
{
	v = htole64(v);
	ghvm_put_bytes(w, &v, sizeof(v));
}

static inline void ghvm_get_bytes(struct ghvm_get *g, void *p, size_t n)
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

static inline void ghvm_get_skip(struct ghvm_get *g, size_t n)
{
	if (g->bad || n > g->len) {
		g->bad = true;
		return;
	}
	g->buf += n;
	g->len -= n;
}

static inline uint8_t ghvm_get_u8(struct ghvm_get *g)
{
	uint8_t v;

	ghvm_get_bytes(g, &v, 1);
	return v;
}

static inline uint16_t ghvm_get_u16(struct ghvm_get *g)
{
	uint16_t v;

	ghvm_get_bytes(g, &v, sizeof(v));
	return le16toh(v);
}

static inline uint32_t ghvm_get_u32(struct ghvm_get *g)
{
	uint32_t v;

	ghvm_get_bytes(g, &v, sizeof(v));
	return le32toh(v);
}

static inline uint64_t ghvm_get_u64(struct ghvm_get *g)
{
	uint64_t v;

	ghvm_get_bytes(g, &v, sizeof(v));
	return le64toh(v);
}

/* 0 if the message was long enough and is used up, -EBADMSG otherwise. */
static inline int ghvm_get_end(const struct ghvm_get *g)
{
	return g->bad || g->len ? -EBADMSG : 0;
}
