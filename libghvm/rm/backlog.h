/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notifications that came before there was a handler (rpc.c): kept in order, bounded.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define GHVM_BACKLOG_MAX 512 /* RM itself holds at most 256 (abi C.2) */

struct ghvm_backlog_entry {
	uint32_t id;
	size_t len;
	uint8_t payload[];
};

/* Begins as zeroes. @v: owned, in order. */
struct ghvm_backlog {
	struct ghvm_backlog_entry *v[GHVM_BACKLOG_MAX];
	size_t n;
};

/*
 * Append a copy. If the backlog is full or memory short the notification is lost; GET_STATE tells
 * the same.
 */
void ghvm_backlog_add(struct ghvm_backlog *b, uint32_t id, const uint8_t *payload, size_t len);
void ghvm_backlog_done(struct ghvm_backlog *b);
