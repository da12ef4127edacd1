/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Applies a user's overlay to a finished tree.
 */
#pragma once

#include "ghvm/error.h"

#include <stddef.h>
#include <stdint.h>

/**
 * ghvm_dt_overlay_apply() - apply @blob to @fdt
 * @fdt: a finished tree of this library; damaged on failure
 * @room: size limit of @fdt, at least twice that of an overlay
 * @blob: @size bytes, not trusted; need not be aligned
 *
 * Thread: any.
 *
 * Return: 0; -ENOMEM; -EINVAL: the error names node, property, and the problem.
 */
int ghvm_dt_overlay_apply(void *fdt, size_t room, const uint8_t *blob, size_t size,
			  struct ghvm_error *err);
