/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Object paths, made and read.
 */
#include "daemon/manager/bus/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libghvm/base/cleanup.h"

char *bus_vm_path(const struct vm *vm)
{
	char *path = NULL;

	return sd_bus_path_encode(BUS_VM_PREFIX, vm->name, &path) < 0 ? NULL : path;
}

struct vm *bus_vm_below(const struct bus *b, const char *path, const char *word, uint32_t *ret)
{
	const char *at = strstr(path, word);
	_cleanup_(freep) char *own = NULL, *head = NULL, *name = NULL;
	unsigned long number;
	struct vm *vm;

	if (!at)
		return NULL;
	number = strtoul(at + strlen(word), NULL, 10);
	head = strndup(path, (size_t)(at - path));
	if (!head || number > UINT32_MAX || sd_bus_path_decode(head, BUS_VM_PREFIX, &name) <= 0)
		return NULL;
	/* accept only the canonical spelling: no sign, no leading zeros */
	if (asprintf(&own, "%s%s%lu", head, word, number) < 0 || strcmp(own, path))
		return NULL;
	vm = manager_known(b->manager, name);
	if (vm)
		*ret = (uint32_t)number;
	return vm;
}
