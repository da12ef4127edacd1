/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks a device tree against rules: one function per rule, applied to every node.
 *
 * A path without a unit address also finds nodes that have one, and new nodes of an overlay
 * precede the old ones. So "vcpus@0" would be read instead of the library's "vcpus".
 */
#include "libghvm/plan/dt-lint.h"

#include "libghvm/base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdbool.h>
#include <string.h>

#define CONFIG "gunyah-vm-config"
#define VIRTIO_ID_INPUT 18
#define PATH_SIZE 256

/* True if the property is exactly this string. */
static bool is_string(const void *fdt, int node, const char *name, const char *value)
{
	return fdt_stringlist_count(fdt, node, name) == 1 &&
	       fdt_stringlist_search(fdt, node, name, value) == 0;
}

/* True if a reader could take the property for this string. */
static bool may_be_string(const void *fdt, int node, const char *name, const char *value)
{
	const size_t n = strlen(value);
	const char *p;
	int len;

	p = fdt_getprop(fdt, node, name, &len);
	return p && len >= (int)n && !memcmp(p, value, n) && (len == (int)n || !p[n]);
}

/* True if a look-up of @name would find the node: unit addresses are ignored. */
static bool is_called(const void *fdt, int node, const char *name)
{
	const char *s = fdt_get_name(fdt, node, NULL);
	const size_t n = strlen(name);

	return s && !strncmp(s, name, n) && (!s[n] || s[n] == '@');
}

static bool is_at_root(const void *fdt, int node)
{
	return node > 0 && fdt_parent_offset(fdt, node) == 0;
}

static bool is_memory(const void *fdt, int node)
{
	return may_be_string(fdt, node, "device_type", "memory");
}

static bool is_rpc_without_generate(const void *fdt, int node)
{
	return may_be_string(fdt, node, "vdevice-type", "rm-rpc") &&
	       !fdt_getprop(fdt, node, "generate", NULL);
}

static bool is_input(const void *fdt, int node)
{
	int len;
	const void *p = fdt_getprop(fdt, node, "virtio,device-type", &len);

	return p && len >= 4 && fdt32_ld(p) == VIRTIO_ID_INPUT;
}

static bool is_not_proxy(const void *fdt, int node)
{
	return fdt_getprop(fdt, node, "affinity", NULL) &&
	       !is_string(fdt, node, "affinity", "proxy");
}

static bool is_hypervisor(const void *fdt, int node)
{
	return is_at_root(fdt, node) && is_called(fdt, node, "hypervisor");
}

static bool is_other_config(const void *fdt, int node)
{
	if (!is_at_root(fdt, node))
		return false;
	return is_called(fdt, node, "qcom,vm-config") ||
	       (is_called(fdt, node, CONFIG) && strcmp(fdt_get_name(fdt, node, NULL), CONFIG));
}

/* The default affinity is "static". */
static bool is_other_vcpus(const void *fdt, int node)
{
	return is_called(fdt, node, "vcpus") && !is_string(fdt, node, "affinity", "proxy");
}

#define NEVER GHVM_QUIRK_COUNT_

/* @unless: not a problem for a resource manager with this quirk */
static const struct {
	bool (*broken)(const void *fdt, int node);
	enum ghvm_quirk unless;
	const char *why;
} rules[] = {
	{ is_memory, NEVER, "the resource manager creates the memory node itself" },
	{ is_hypervisor, NEVER, "the resource manager creates the hypervisor node itself" },
	{ is_other_config, NEVER, "would be read instead of /" CONFIG },
	{ is_rpc_without_generate, NEVER,
	  "an rm-rpc vdevice without \"generate\" kills the resource manager" },
	{ is_input, NEVER, "a virtio input device makes the next VM panic the hypervisor" },
	{ is_not_proxy, GHVM_QUIRK_SCHEDULED_VCPUS,
	  "the end of a VM with vCPUs that are not \"proxy\" kills the resource manager" },
	{ is_other_vcpus, GHVM_QUIRK_SCHEDULED_VCPUS,
	  "the end of a VM with vCPUs that are not \"proxy\" kills the resource manager" },
};

static int check_node(const void *fdt, int node, const struct ghvm_quirks *q,
		      struct ghvm_error *err)
{
	char path[PATH_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if ((rules[i].unless != NEVER && ghvm_quirk(q, rules[i].unless)) ||
		    !rules[i].broken(fdt, node))
			continue;
		if (fdt_get_path(fdt, node, path, sizeof(path)))
			strcpy(path, "(deep)");
		return ghvm_error_set(err, -EINVAL, "device tree overlay: %s: %s", path,
				      rules[i].why);
	}
	return 0;
}

int ghvm_dt_lint(const void *fdt, const struct ghvm_quirks *quirks, struct ghvm_error *err)
{
	const uint64_t most = ghvm_quirk(quirks, GHVM_QUIRK_DOORBELLS);
	unsigned int doorbells = 0;

	for (int node = 0; node >= 0; node = fdt_next_node(fdt, node, NULL)) {
		int r = check_node(fdt, node, quirks, err);

		if (r < 0)
			return r;
		doorbells += may_be_string(fdt, node, "vdevice-type", "doorbell") ||
			     may_be_string(fdt, node, "vdevice-type", "doorbell-source");
	}
	if (doorbells > most)
		return ghvm_error_set(err, -EINVAL,
				      "device tree overlay: %u doorbells; the resource manager has "
				      "memory for %" PRIu64,
				      doorbells, most);
	return 0;
}

/* Looked up as RM does: by names without unit addresses. */
int ghvm_dt_lint_link(const void *fdt, struct ghvm_error *err)
{
	int config = fdt_path_offset(fdt, "/" CONFIG);
	int vdevices = fdt_subnode_offset(fdt, config, "vdevices");
	int link = fdt_subnode_offset(fdt, vdevices, "rm-rpc");

	if (link >= 0 && is_string(fdt, link, "vdevice-type", "rm-rpc") &&
	    !fdt_getprop(fdt, link, "status", NULL))
		return 0;
	return ghvm_error_set(err, -EINVAL,
			      "device tree overlay: removes the rm-rpc vdevice that the "
			      "descriptor asks for");
}
