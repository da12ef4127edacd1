/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory regions of a guest, as the manager shows them: for region list, and status.
 */
#pragma once

#include "daemon/ctl/client/object.h"

#include "ghvm/error.h"

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/**
 * struct region - properties of a region; texts are owned
 * @shared_with: NULL: not known to the manager, which is of an earlier version
 */
struct region {
	BUS_REGION_PROPERTIES(OBJECT_MEMBER, OBJECT_NO_MEMBER)
};

/**
 * struct regions - sorted by address
 */
struct regions {
	struct region *v;
	size_t n;
};

/* Read the regions of the VM with the object path @vm. @ret: regions_done(). Return: as client_call(). */
int regions_read(sd_bus *bus, const char *vm, struct regions *ret, struct ghvm_error *err);
void regions_done(struct regions *r);

/* The other VM that has the region, borrowed; NULL: there is none. */
const char *region_peer(const struct region *r);
