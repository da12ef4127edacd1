/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's kernel lacks for the devices and the protection of its descriptor.
 */
#pragma once

#include "ghvm/spec.h"

/**
 * kernel_lint() - compare a configuration with a descriptor
 * @config: of the kernel, as text; not trusted
 * @all: a warning is added for each option that is missing, with the place of kernel.image
 *
 * Return: 0; -ENOMEM.
 */
int kernel_lint(const struct ghvm_spec *spec, const char *config, struct ghvm_complaints *all);
