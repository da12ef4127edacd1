/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether an image is in use: as a disk of another VM, or by another process that locks it as QEMU does.
 */
#pragma once

#include "daemon/prepare/disk/disk.h"
#include "ghvm/error.h"

/**
 * use_check() - refuse an image that is in use
 * @dir: open and locked, place_lock(); borrowed
 *
 * Disks that are all readonly may have the same image. Return: 0; -EBUSY; another errno.
 */
int use_check(const struct disk *d, int dir, struct ghvm_error *err);
