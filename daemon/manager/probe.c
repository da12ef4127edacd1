/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From questions to a row of quirks.
 */
#include "daemon/manager/probe.h"

#include "daemon/manager/log.h"
#include "libghvm/rm-probe.h"

static void choose(struct probe *p)
{
	p->quirks = *ghvm_quirks_choose(&p->facts, &p->why);
}

void probe_init(struct probe *p)
{
	*p = (struct probe){};
	choose(p);
}

void probe_identify(struct probe *p, struct ghvm_rm *rm, const struct ghvm_info *info)
{
	struct ghvm_error err = {};

	p->facts.rm_capid = info->rm_tx_capid;
	if (ghvm_rm_probe(rm, &p->facts, &err) < 0)
		log_warning(NULL, 0, "%s", err.msg);
	choose(p);
	log_info(NULL, "Resource manager is taken for %s: %s", p->quirks.generation, p->why);
}
