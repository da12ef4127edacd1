/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why no guest can run on a host, and what to do: another hypervisor or another driver, a kernel at
 * EL2, a firmware that this kernel cannot serve.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/hyp/host.h"

#include <stdbool.h>

/**
 * ghvm_obstacle_check() - whether guests can run, by what the module says of its host
 * @name: of the node, for messages
 * @kvm: the kernel offers KVM
 *
 * Return: 0; -ENODEV, @err names the obstacle and what to do; -EPROTO an API of Gunyah that this
 * library does not speak.
 */
int ghvm_obstacle_check(const struct ghvm_info *info, const char *name, bool kvm,
			struct ghvm_error *err);
