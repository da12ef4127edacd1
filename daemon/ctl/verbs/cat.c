/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cat: print the descriptor of a VM with its drop-ins applied, and where each key comes from.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/client/descriptor.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/output/complaints.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/spec/print.h"

#include <stdio.h>
#include <string.h>

/* Return: owned; NULL: out of memory. */
static char *text_of(const struct ctl *ctl, const struct ghvm_spec *spec,
		     const struct descriptor_told *told)
{
	if (ctl->json)
		return ghvm_spec_to_yaml(spec);
	return told->text && !told->sent ? strdup(told->text) : spec_explain(spec);
}

int verb_cat(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(descriptor_told_done) struct descriptor_told told = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(freep) char *text = NULL;
	struct ghvm_error err = {};
	int r = descriptor_load(ctl, args[0], &told, &spec, &all, &err);

	complaints_print(&all, stderr);
	if (r < 0 && all.n)
		return CTL_FAILED;
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	text = text_of(ctl, &spec, &told);
	if (!text)
		return ctl_fail(CTL_FAILED, "out of memory");
	fputs(text, stdout);
	return CTL_OK;
}
