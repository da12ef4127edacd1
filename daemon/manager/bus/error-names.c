/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of errors on the bus.
 */
#include "daemon/manager/bus/error-names.h"

#include <errno.h>
#include <stddef.h>

#include "libghvm/base/bits.h"

struct name {
	int code;
	const char *name;
};

static const struct name names[] = {
	{ -EINVAL, FAILURE_INVALID_SPEC },
	{ -ENOENT, FAILURE_NO_SUCH_VM },
	{ -EEXIST, FAILURE_VM_EXISTS },
	{ -EBADF, FAILURE_PREFIX "InvalidFile" },
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
	{ -ECONNABORTED, FAILURE_PREFIX "GuestCrashed" },
	{ -ECONNRESET, FAILURE_PREFIX "ProcessDied" },
	{ -EPIPE, FAILURE_PREFIX "ProcessDied" },
	{ -EACCES, FAILURE_NOT_AUTHORIZED },
	{ -EPERM, FAILURE_NOT_AUTHORIZED },
};

static const struct name region_names[] = {
	{ -EINVAL, FAILURE_PREFIX "Misaligned" },
	{ -ENOENT, FAILURE_NO_SUCH_REGION },
	{ -EEXIST, FAILURE_PREFIX "RegionOverlap" },
	{ -ENOTUNIQ, FAILURE_PREFIX "LabelInUse" },
	{ -EXDEV, FAILURE_PREFIX "NotShared" },
	{ -EALREADY, FAILURE_CONFLICT },
	{ -ESTALE, FAILURE_BAD_STATE },
	{ -EOVERFLOW, FAILURE_INVALID_ARGS },
	{ -EBADF, FAILURE_INVALID_ARGS },
	{ -EPERM, FAILURE_INVALID_ARGS },
};

static const char *find_name(const struct name *v, size_t n, int code)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].code == code)
			return v[i].name;
	return NULL;
}

const char *failure_name(const struct ghvm_error *err)
{
	const char *name = find_name(names, ARRAY_SIZE(names), err->code);

	if (err->code == -EREMOTEIO && err->rm_message)
		return FAILURE_PREFIX "RmRejected";
	return name ? name : FAILURE_PREFIX "HypercallFailed";
}

const char *failure_name_of_region(const struct ghvm_error *err)
{
	const char *name = find_name(region_names, ARRAY_SIZE(region_names), err->code);

	return name ? name : failure_name(err);
}
