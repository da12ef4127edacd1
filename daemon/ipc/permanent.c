/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which errors of a start another try cannot fix.
 */
#include "daemon/ipc/permanent.h"

#include <errno.h>

#include "libghvm/base/bits.h"

/*
 * ENOSPC, E2BIG and ENOMEM are missing: they mean that other guests use what this one needs, which may change.
 *
 * Errors of open() are permanent only in the helper. The manager opens no files but descriptors, and
 * manager_load_spec() turns their errors into EINVAL; other EACCES and ENXIO concern the hypervisor's node.
 */
static const struct permanent_error errors[] = {
	/* manager, helper */
	{ -EINVAL, { true, true } }, /* wrong contents of the descriptor or a file */
	{ -ENOENT, { true, true } }, /* no such VM; no such file */
	{ -EACCES, { false, true } },
	{ -EISDIR, { false, true } },
	{ -ELOOP, { false, true } }, /* a symbolic link */
	{ -ENAMETOOLONG, { false, true } },
	{ -ENOTDIR, { false, true } },
	{ -ENXIO, { false, true } },
	{ -EOVERFLOW, { false, true } },  /* a file too large to open */
	{ -EFBIG, { true, true } },	  /* a file, or guest memory, that is too large */
	{ -ENOEXEC, { true, false } },	  /* the kernel is not an arm64 Image */
	{ -EDQUOT, { true, true } },	  /* more than there is in total */
	{ -EOPNOTSUPP, { true, true } },  /* RM's limits; huge pages of this size */
	{ -ENODEV, { true, false } },	  /* the module is not loaded */
	{ -EADDRINUSE, { false, true } }, /* the CID of a vsock */
	{ -EHOSTDOWN, { true, false } },  /* RM is dead until the host reboots */
};

const struct permanent_error *permanent_errors(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(errors);
	return errors;
}

bool permanent_in(enum permanent_process process, int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (errors[i].code == code)
			return errors[i].in[process];
	return false;
}
