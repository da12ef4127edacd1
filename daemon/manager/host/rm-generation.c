/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identify the resource manager and select its row of quirks.
 */
#include "daemon/manager/host/rm-generation.h"

#include "daemon/manager/core/log.h"
#include "libghvm/rm/probe.h"

static void choose_row(struct probe *p)
{
	p->quirks = *ghvm_quirks_choose(&p->facts, &p->why);
}

void probe_init(struct probe *p)
{
	*p = (struct probe){};
	choose_row(p);
}

void probe_identify(struct probe *p, struct ghvm_rm *rm, const struct ghvm_info *info)
{
	struct ghvm_error err = {};

	p->facts.rm_capid = info->rm_tx_capid;
	if (ghvm_rm_probe(rm, &p->facts, &err) < 0)
		log_warning(NULL, 0, "%s", err.msg);
	choose_row(p);
	log_info(NULL, "Resource manager recognised as %s: %s", p->quirks.generation, p->why);
}

void probe_set_presplit(struct probe *p, enum presplit_option option)
{
	if (option == PRESPLIT_AUTO)
		return;
	p->quirks.v[GHVM_QUIRK_PRESPLIT] =
		(struct ghvm_quirk_value){ option == PRESPLIT_ON, "--presplit" };
	log_info(NULL, "A SHARE and a RECLAIM precede each LEND: %s, by --presplit",
		 option == PRESPLIT_ON ? "yes" : "no");
}
