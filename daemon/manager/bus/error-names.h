/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of errors on the bus: pure.
 */
#pragma once

#include "ghvm/error.h"

#define FAILURE_PREFIX "org.gunyah.vmm1.Error."
#define FAILURE_NO_SUCH_VM FAILURE_PREFIX "NoSuchVM"
#define FAILURE_VM_EXISTS FAILURE_PREFIX "VMExists"
#define FAILURE_BAD_STATE FAILURE_PREFIX "BadState"
#define FAILURE_BUSY FAILURE_PREFIX "Busy"
#define FAILURE_INVALID_SPEC FAILURE_PREFIX "InvalidSpec"
#define FAILURE_NOT_AUTHORIZED FAILURE_PREFIX "NotAuthorized"
#define FAILURE_QUOTA FAILURE_PREFIX "QuotaExceeded"
#define FAILURE_CONFLICT FAILURE_PREFIX "TransactionConflict"
#define FAILURE_EXPIRED FAILURE_PREFIX "TransactionExpired"
#define FAILURE_NO_SUCH_REGION FAILURE_PREFIX "NoSuchRegion"
#define FAILURE_NO_SUCH_TRANSACTION FAILURE_PREFIX "NoSuchTransaction"
#define FAILURE_INVALID_ARGS "org.freedesktop.DBus.Error.InvalidArgs"

/* The typed name for a failure; never NULL, static. */
const char *failure_name(const struct ghvm_error *err);
/* Likewise, of what was done to regions of memory: there some codes mean something else. */
const char *failure_name_of_region(const struct ghvm_error *err);
