/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages about the memory of regions. A malformed one is ignored. If memory cannot be kept, the guest
 * runs on, and only Region.Open of a later manager lacks it.
 */
#include "daemon/runner/regions.h"

#include <stdio.h>
#include <string.h>

#include <systemd/sd-daemon.h>

/* u32 label; a memfd */
static void take_region(struct ghvm_region_fds *all, struct ghvm_link_message *m)
{
	uint32_t label = ghvm_get_u32(&m->payload);
	int r;

	if (ghvm_get_end(&m->payload) < 0 || m->n_fds != 1)
		return;
	r = ghvm_region_fds_put(all, label, m->fds[0]);
	if (r < 0)
		fprintf(stderr, SD_WARNING "Cannot keep the memory of region %u: %s\n", label,
			strerror(-r));
}

/* u32 label */
static void forget_region(struct ghvm_region_fds *all, struct ghvm_link_message *m)
{
	uint32_t label = ghvm_get_u32(&m->payload);

	if (ghvm_get_end(&m->payload) == 0)
		ghvm_region_fds_drop(all, label);
}

static void give_regions(const struct ghvm_region_fds *all, struct control *c)
{
	for (size_t i = 0; i < all->n; i++)
		control_region_fd(c, all->v[i].label, all->v[i].fd);
}

static void give_sent(const struct fds *fds, struct control *c)
{
	for (unsigned int i = 0; i < GHVM_LINK_KINDS; i++)
		if (fds->sent[i] >= 0)
			control_sent_fd(c, (enum ghvm_link_kind)i, fds->sent[i]);
}

void regions_on_message(struct fds *fds, struct control *c, struct ghvm_link_message *m)
{
	struct ghvm_region_fds *all = &fds->regions;

	switch (m->type) {
	case GHVM_LINK_REGION_FD:
		take_region(all, m);
		break;
	case GHVM_LINK_REGION_GONE:
		forget_region(all, m);
		break;
	case GHVM_LINK_REGION_FDS:
		give_regions(all, c);
		break;
	case GHVM_LINK_SENT_FDS:
		give_sent(fds, c);
		break;
	}
}
