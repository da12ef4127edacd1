/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of errors on the bus.
 */
#include "daemon/manager/failure.h"

#include <errno.h>
#include <stddef.h>

#include "libghvm/bits.h"

static const struct {
	int code;
	const char *name;
} names[] = {
	{ -EINVAL, FAILURE_INVALID_SPEC },
	{ -ENOENT, FAILURE_NO_SUCH_VM },
	{ -EEXIST, FAILURE_PREFIX "VMExists" },
	{ -EBUSY, FAILURE_BUSY },
	{ -ESRCH, FAILURE_BAD_STATE },
	{ -ENOEXEC, FAILURE_PREFIX "ImageInvalid" },
	{ -EFBIG, FAILURE_PREFIX "ImageInvalid" },
	{ -E2BIG, FAILURE_QUOTA },
	{ -ENOSPC, FAILURE_QUOTA },
	{ -EDQUOT, FAILURE_QUOTA },
	{ -EOPNOTSUPP, FAILURE_PREFIX "UnsupportedByRM" },
	{ -ENOMEM, FAILURE_PREFIX "PinFailed" },
	{ -EFAULT, FAILURE_PREFIX "PinFailed" },
	{ -ETIMEDOUT, FAILURE_PREFIX "TimedOut" },
	{ -EHOSTDOWN, FAILURE_PREFIX "HostUnavailable" },
	{ -ENODEV, FAILURE_PREFIX "HostUnavailable" },
	{ -EPROTO, FAILURE_PREFIX "HostUnavailable" },
	{ -ECANCELED, FAILURE_PREFIX "Cancelled" },
	{ -EACCES, FAILURE_NOT_AUTHORIZED },
	{ -EPERM, FAILURE_NOT_AUTHORIZED },
};

const char *failure_name(const struct ghvm_error *err)
{
	if (err->code == -EREMOTEIO)
		return err->rm_message ? FAILURE_PREFIX "RmRejected"
				       : FAILURE_PREFIX "HypercallFailed";
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].code == err->code)
			return names[i].name;
	return FAILURE_PREFIX "HypercallFailed";
}
