/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identifiers of different kinds are different types, so that none is passed for another.
 */
#pragma once

#include <stdint.h>

struct ghvm_vmid {
	uint16_t id;
};

/* Valid only in the VM that owns it; GHVM_CAPID_NONE is none, 0 may be real. */
struct ghvm_capid {
	uint64_t id;
};

/* 0 is a valid handle; GHVM_PARCEL_NONE is none. */
struct ghvm_parcel_handle {
	uint32_t id;
};

/* A GIC INTID; 0 is none. */
struct ghvm_virq {
	uint32_t intid;
};

#define GHVM_CAPID_NONE UINT64_MAX
#define GHVM_PARCEL_NONE UINT32_MAX

/* 1 to 27 characters of [a-z0-9-], no dash first or last; and the final NUL. */
#define GHVM_NAME_SIZE 28
