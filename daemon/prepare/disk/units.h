/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The units of a disk, gunyah-vm-diskN@VM.socket and .service.
 */
#pragma once

#include "daemon/prepare/disk/disk.h"
#include "ghvm/error.h"

/* Start both; the folder of the disk is complete. Return: 0; -EIO with a message that says where the reason is. */
int units_start(const struct disk *d, struct ghvm_error *err);

/**
 * units_stop() - stop both, and wait for their end
 *
 * The storage daemon is ordered to end after the VM, which ends only once its helper has ended, so the order is
 * ignored here. Return: 0, also if they do not run; -EIO.
 */
int units_stop(const char *vm, unsigned int nth);
