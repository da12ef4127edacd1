/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cat: print the descriptor of a VM with its drop-ins applied, and where each key comes from.
 */
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/output/complaints.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/spec/print.h"

#include <errno.h>
#include <stdio.h>

int verb_cat(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(freep) char *text = NULL;
	struct ghvm_error err = {};
	int r = ghvm_spec_load(args[0], ctl->dirs, &spec, &all, &err);

	complaints_print(&all, stderr);
	if (r < 0 && all.n)
		return CTL_FAILED;
	if (r < 0)
		return ctl_fail(r == -ENOENT ? CTL_NO_VM : CTL_FAILED, "%s", err.msg);
	text = ctl->json ? ghvm_spec_to_yaml(&spec) : spec_explain(&spec);
	if (!text)
		return ctl_fail(CTL_FAILED, "out of memory");
	fputs(text, stdout);
	return CTL_OK;
}
