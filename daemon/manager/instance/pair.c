/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest with regions that another guest has as well.
 */
#include "daemon/manager/instance/internal.h"

#include <errno.h>
#include <string.h>

#include "daemon/manager/core/log.h"
#include "libghvm/spec/pair.h"

void guest_make_regions(struct guest *g, const struct ghvm_spec *other)
{
	const struct ghvm_spec_region *r;

	g->pair = (struct ghvm_machine_pair){};
	for (size_t i = 0; i < other->n_regions; i++) {
		r = &other->regions[i];
		if (!strcmp(r->with, g->name) && r->readonly)
			g->pair.readonly[g->pair.n_readonly++] = r->label;
	}
}

/* Its memory may be missing if @maker was adopted a moment ago. */
static void share_memory(struct guest *g, const struct guest *maker, uint32_t label)
{
	const struct log_about a = { .vm = g->name };
	int fd = ghvm_region_fds_get(&maker->regions, label);
	int r = fd < 0 ? fd : ghvm_region_fds_put(&g->regions, label, fd);

	if (r < 0)
		log_warning(&a, r, "Clients cannot open region %u of this VM", label);
}

void guest_join_regions(struct guest *g, const struct guest *maker)
{
	g->pair = (struct ghvm_machine_pair){
		.joins = ghvm_machine_peer(guest_machine(maker)),
		.maker = maker->incarnation,
	};
	for (size_t i = 0; i < g->spec.n_regions; i++)
		if (*g->spec.regions[i].with)
			share_memory(g, maker, g->spec.regions[i].label);
}
