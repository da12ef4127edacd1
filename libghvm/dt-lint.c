/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One rule a function; each is asked about every node.
 */
#include "libghvm/dt-lint.h"

#include "libghvm/bits.h"

#include <errno.h>
#include <libfdt.h>
#include <stdbool.h>
#include <string.h>

#define VIRTIO_ID_INPUT 18
#define PATH_SIZE 256

/* True if the property is this one string. */
static bool is_string(const void *fdt, int node, const char *name, const char *value)
{
	return fdt_stringlist_count(fdt, node, name) == 1 &&
	       fdt_stringlist_search(fdt, node, name, value) == 0;
}

static bool is_memory(const void *fdt, int node)
{
	return is_string(fdt, node, "device_type", "memory");
}

static bool is_rpc_without_generate(const void *fdt, int node)
{
	return is_string(fdt, node, "vdevice-type", "rm-rpc") &&
	       !fdt_getprop(fdt, node, "generate", NULL);
}

static bool is_input(const void *fdt, int node)
{
	int len;
	const void *p = fdt_getprop(fdt, node, "virtio,device-type", &len);

	return p && len == 4 && fdt32_ld(p) == VIRTIO_ID_INPUT;
}

static bool is_not_proxy(const void *fdt, int node)
{
	return fdt_getprop(fdt, node, "affinity", NULL) &&
	       !is_string(fdt, node, "affinity", "proxy");
}

static bool is_hypervisor(const void *fdt, int node)
{
	return fdt_parent_offset(fdt, node) == 0 &&
	       !strcmp(fdt_get_name(fdt, node, NULL), "hypervisor");
}

static const struct {
	bool (*broken)(const void *fdt, int node);
	const char *why;
} rules[] = {
	{ is_memory, "the resource manager makes the memory node itself" },
	{ is_hypervisor, "the resource manager makes the hypervisor node itself" },
	{ is_rpc_without_generate,
	  "an rm-rpc vdevice without \"generate\" kills the resource manager" },
	{ is_input, "a virtio input device makes the next VM panic the hypervisor" },
	{ is_not_proxy,
	  "the end of a VM whose vCPUs are not \"proxy\" kills the resource manager" },
};

int ghvm_dt_lint(const void *fdt, struct ghvm_error *err)
{
	char path[PATH_SIZE];

	for (int node = 0; node >= 0; node = fdt_next_node(fdt, node, NULL)) {
		for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
			if (!rules[i].broken(fdt, node))
				continue;
			if (fdt_get_path(fdt, node, path, sizeof(path)))
				strcpy(path, "(deep)");
			return ghvm_error_set(err, -EINVAL, "device tree overlay: %s: %s", path,
					      rules[i].why);
		}
	}
	return 0;
}
