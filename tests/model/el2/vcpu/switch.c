// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saves and loads the system registers of the primary and of guests.
 *
 * Both use the virtual timer. It must be off while its compare value changes, or it fires
 * spuriously.
 */
#include "tests/model/el2/el2.h"

void sysregs_save(uint64_t *sys)
{
#define X(r) sys[SYS_##r] = sysreg_read(r);
	SYSREGS(X)
#undef X
	sysreg_write(cntv_ctl_el0, 0);
}

void sysregs_load(const uint64_t *sys)
{
#define X(r) sysreg_write(r, sys[SYS_##r]);
	SYSREGS(X)
#undef X
	isb();
}
