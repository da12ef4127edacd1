/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks that an overlay brings nothing dangerous into a guest's device tree.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/rm/quirks.h"

/**
 * ghvm_dt_lint() - check a whole tree
 * @fdt: checked by fdt_check_full()
 * @quirks: of the resource manager that reads it
 *
 * Thread: any. Return: 0; -EINVAL with the path of a node that would crash RM or the hypervisor,
 * or make the start fail (abi D.7, D.8, K.6, K.8).
 */
int ghvm_dt_lint(const void *fdt, const struct ghvm_quirks *quirks, struct ghvm_error *err);

/*
 * Check that the tree still has the rm-rpc vdevice. Notifying a guest of memory without that
 * vdevice kills RM (abi K.6). Return: 0; -EINVAL.
 */
int ghvm_dt_lint_link(const void *fdt, struct ghvm_error *err);
