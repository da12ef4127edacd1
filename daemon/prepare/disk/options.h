/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of a disk's storage daemon, as the variables of its unit. No text of the descriptor is in them: the unit
 * gives the image a name of its own.
 */
#pragma once

#include "ghvm/spec.h"

#define OPTIONS_IMAGE "/image" /* the image in the unit, gunyah-vm-disk@.service.in */

/* Write lines NAME='VALUE' for systemd's EnvironmentFile=. Return: 0; negative errno. */
int options_write(const struct ghvm_spec_disk *disk, int fd);
