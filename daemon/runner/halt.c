/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/runner/halt.h"

void halt_init(struct halt *h)
{
	*h = (struct halt){ .next = HALT_NEVER };
}

bool halt_check(struct halt *h, struct guest *g, bool runs, uint64_t now, unsigned int patience_ms)
{
	if (!runs || !guest_all_off(g)) {
		halt_init(h);
		return false;
	}
	if (h->looking && guest_looked(g)) {
		h->looking = false;
		if (guest_is_off(g))
			return true;
	}
	if (h->looking)
		return false;
	if (h->next == HALT_NEVER) {
		h->next = now + patience_ms;
	} else if (now >= h->next) {
		h->next = HALT_NEVER;
		h->looking = true;
		guest_look(g);
	}
	return false;
}
