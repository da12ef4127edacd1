/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A user's overlay, laid over a finished tree.
 */
#pragma once

#include "ghvm/error.h"

#include <stddef.h>
#include <stdint.h>

/**
 * ghvm_dt_overlay_apply() - lay @blob over @fdt
 * @fdt: ours, finished; damaged on failure
 * @room: bytes that it may grow to, at least twice of what an overlay may have
 * @blob: @size bytes, not trusted; need not be aligned
 *
 * Thread: any.
 *
 * Return: 0; -ENOMEM; -EINVAL: the error names node, property, and what is wrong with it.
 */
int ghvm_dt_overlay_apply(void *fdt, size_t room, const uint8_t *blob, size_t size,
			  struct ghvm_error *err);
