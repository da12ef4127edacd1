/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/kernel/lint.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "daemon/ctl/kernel/config.h"
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

static int lint_device(const struct ghvm_spec *spec, const char *config,
		       const struct ghvm_device_kind *kind, struct ghvm_complaints *all)
{
	char what[64];
	int r = 0;

	(void)snprintf(what, sizeof(what), "the device \"%s\"", kind->name); /* fits */
	for (const char *const *option = kind->options; r == 0 && *option; option++)
		r = need(spec, config, *option, what, all);
	if (r < 0 || !kind->dma || !kind->region(spec, 0))
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
	return r;
}
