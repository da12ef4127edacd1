/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an overlay must not bring into a guest's device tree.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/rm/quirks.h"

/**
 * ghvm_dt_lint() - look a whole tree through
 * @fdt: checked by fdt_check_full()
 * @quirks: of the resource manager that it is for
 *
 * Thread: any. Return: 0; -EINVAL and the path of the node that would take RM, the hypervisor
 * or the start down (abi D.7, D.8, K.6, K.8).
 */
int ghvm_dt_lint(const void *fdt, const struct ghvm_quirks *quirks, struct ghvm_error *err);

/*
 * Does it still give the guest the link to RM that we put there? A guest that is believed to
 * have one and has none kills RM when it is told of memory (abi K.6). Return: 0; -EINVAL.
 */
int ghvm_dt_lint_link(const void *fdt, struct ghvm_error *err);
