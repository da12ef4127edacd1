/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/kernel/lint.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "daemon/ctl/kernel/config.h"
#include "libghvm/base/bits.h"
#include "libghvm/plan/devices.h"
#include "libghvm/spec/complain.h"

/* Return: 0, also if the descriptor has no place for a warning; -ENOMEM. */
static int need(const struct ghvm_spec *spec, const char *config, const char *option,
		const char *what, struct ghvm_complaints *all)
{
	struct ghvm_error err = {};
	int r;

	if (kernel_config_has(config, option))
		return 0;
	(void)ghvm_error_set(&err, -ENOENT,
			     "kernel.image: the kernel lacks CONFIG_%s, which %s needs", option,
			     what);
	r = spec_warn(spec, &err, "kernel-option", all);
	return r == -ENOMEM ? r : 0;
}

/* What the driver of a device needs that another process serves (virtio 1.2, section 5). */
static const struct {
	unsigned int id;
	const char *option;
} virtio_drivers[] = {
	{ 1, "VIRTIO_NET" },	   { 2, "VIRTIO_BLK" },	      { 3, "VIRTIO_CONSOLE" },
	{ 4, "HW_RANDOM_VIRTIO" }, { 19, "VIRTIO_VSOCKETS" }, { 26, "VIRTIO_FS" },
};

static int lint_driver(const struct ghvm_spec *spec, const char *config, unsigned int id,
		       struct ghvm_complaints *all)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "the device \"vhost-user\" with id %u", id); /* fits */
	for (size_t i = 0; i < ARRAY_SIZE(virtio_drivers); i++)
		if (virtio_drivers[i].id == id)
			return need(spec, config, virtio_drivers[i].option, what, all);
	return 0;
}

/* Once for each kind, however many devices it has. */
static int lint_drivers(const struct ghvm_spec *spec, const char *config,
			struct ghvm_complaints *all)
{
	uint64_t done = 0; /* ids are below 64 */
	int r = 0;

	for (size_t i = 0; r == 0 && i < ghvm_spec_count_vhost(spec); i++) {
		if (!(done & 1ULL << spec->vhost[i].id))
			r = lint_driver(spec, config, spec->vhost[i].id, all);
		done |= 1ULL << spec->vhost[i].id;
	}
	return r;
}

static bool has_region(const struct ghvm_spec *spec, const struct ghvm_device_kind *kind)
{
	for (unsigned int nth = 0; kind->dma && nth < kind->count(spec); nth++)
		if (kind->region(spec, nth))
			return true;
	return false;
}

static int lint_device(const struct ghvm_spec *spec, const char *config,
		       const struct ghvm_device_kind *kind, struct ghvm_complaints *all)
{
	char what[64];
	int r = 0;

	(void)snprintf(what, sizeof(what), "the device \"%s\"", kind->name); /* fits */
	for (const char *const *option = kind->options; r == 0 && *option; option++)
		r = need(spec, config, *option, what, all);
	if (r < 0 || !has_region(spec, kind))
		return r;
	(void)snprintf(what, sizeof(what), "the device \"%s\" with a region", kind->name);
	return need(spec, config, "DMA_RESTRICTED_POOL", what, all);
}

int kernel_lint(const struct ghvm_spec *spec, const char *config, struct ghvm_complaints *all)
{
	int r = 0;

	if (spec->cpus > 1)
		r = need(spec, config, "SMP", "cpus.count", all);
	if (r == 0 && spec->initrd)
		r = need(spec, config, "BLK_DEV_INITRD", "kernel.initrd", all);
	for (const struct ghvm_device_kind *k = ghvm_device_kinds; r == 0 && k->name; k++)
		if (k->count(spec))
			r = lint_device(spec, config, k, all);
	return r < 0 ? r : lint_drivers(spec, config, all);
}
