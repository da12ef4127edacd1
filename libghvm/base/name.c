/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of VMs. They become unit instances, user names, object paths and file names, so only what
 * is valid for all of these is allowed: [a-z0-9]([a-z0-9-]{0,25}[a-z0-9])?
 */
#include "libghvm/base/name.h"

#include "ghvm/types.h"

#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyz0123456789"

bool ghvm_name_valid(const char *name)
{
	size_t n = strnlen(name, GHVM_NAME_SIZE);

	if (!n || n >= GHVM_NAME_SIZE || strspn(name, LETTERS "-") != n)
		return false;
	return name[0] != '-' && name[n - 1] != '-';
}
