/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents of regions: copied from and to files.
 */
#pragma once

#include <stdint.h>

#include <systemd/sd-bus.h>

/*
 * Write the memory of the region @label to @file; NULL or "-": to standard output.
 * @vm: object path. Return: enum ctl_status.
 */
int region_dump(sd_bus *bus, const char *vm, uint32_t label, const char *file);

/* Write @file, "-": standard input, to the memory of the region from its first byte on. */
int region_load(sd_bus *bus, const char *vm, uint32_t label, const char *file);

/*
 * Copy @file into @memory, a memfd of @size bytes; what follows stays. A file that is known to be longer
 * is refused before anything is written.
 */
int region_fill(const char *file, int memory, uint64_t size);
